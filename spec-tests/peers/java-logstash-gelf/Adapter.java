import biz.paluch.logging.gelf.GelfMessageBuilder;
import biz.paluch.logging.gelf.intern.GelfMessage;
import biz.paluch.logging.gelf.standalone.DatenpumpeImpl;
import biz.paluch.logging.gelf.standalone.DefaultGelfSenderConfiguration;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Adapter of the subject protocol for logstash-gelf, over sockets on the loopback. */
public final class Adapter {
    public static void main(String[] arguments) throws Exception {
        String version = GelfSubject.versionOf(GelfMessage.class, "biz.paluch.logging", "logstash-gelf");
        ObjectNode hello = GelfSubject.hello("logstash-gelf", version, "send");
        hello.putArray("sends").add("udp").add("tcp");
        hello.put("notes", "Configured for GELF 1.1. By default it sends 1.0: no version, timestamp and level as"
                + " strings. Datagrams have up to 8,204 bytes by default. Field values are strings in its"
                + " interface; strings that parse as numbers become numbers.");
        GelfSubject.serve(hello, Map.of("send", Adapter::send));
    }

    private static ObjectNode send(JsonNode request) throws Exception {
        boolean datagrams = request.path("transport").asText().equals("udp");
        String compression = request.path("compression").asText("none");
        if (!compression.equals(datagrams ? "gzip" : "none")) {
            throw new GelfSubject.Unsupported(datagrams ? "always gzip on UDP" : "never compressed on TCP");
        }
        BigDecimal timestamp = request.path("message").path("timestamp").decimalValue();
        if (timestamp.movePointRight(3).stripTrailingZeros().scale() > 0) {
            throw new GelfSubject.Unsupported("timestamps are whole milliseconds");
        }
        List<String> errors = new ArrayList<>();
        GelfSubject.Send submit = port -> submit(request, port, errors);
        ObjectNode answer = datagrams ? GelfSubject.captureUdp(submit) : GelfSubject.captureTcp(submit);
        if (!errors.isEmpty()) {
            throw new GelfSubject.Refused(String.join("; ", errors));
        }
        return answer;
    }

    private static void submit(JsonNode request, int port, List<String> errors) {
        DefaultGelfSenderConfiguration configuration = new DefaultGelfSenderConfiguration(
                (text, exception) -> errors.add(exception == null ? text : text + ": " + exception));
        configuration.setHost(request.path("transport").asText() + ":" + GelfSubject.LOOPBACK);
        configuration.setPort(port);
        DatenpumpeImpl pump = new DatenpumpeImpl(configuration);
        try {
            pump.submit(message(request.path("message"), request.path("datagram_size").asInt(1420)));
        } catch (RuntimeException refused) {
            errors.add(refused.toString());
        } finally {
            pump.close();
        }
    }

    private static GelfMessage message(JsonNode asked, int datagramSize) {
        GelfMessageBuilder builder = GelfMessageBuilder.newInstance().withVersion(GelfMessage.GELF_VERSION_1_1)
                .withMaximumMessageSize(datagramSize - GelfSubject.CHUNK_HEADER);
        if (asked.has("host")) {
            builder.withHost(asked.get("host").asText());
        }
        if (asked.has("short_message")) {
            builder.withShortMessage(asked.get("short_message").asText());
        }
        if (asked.has("full_message")) {
            builder.withFullMessage(asked.get("full_message").asText());
        }
        if (asked.has("timestamp")) {
            builder.withJavaTimestamp(asked.get("timestamp").decimalValue().movePointRight(3).longValueExact());
        }
        if (asked.has("level")) {
            builder.withLevel(asked.get("level").asText());
        }
        asked.path("fields").fields()
                .forEachRemaining(field -> builder.withField(field.getKey(), field.getValue().asText()));
        return builder.build();
    }
}
