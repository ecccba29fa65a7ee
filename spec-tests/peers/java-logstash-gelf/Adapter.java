import biz.paluch.logging.gelf.GelfMessageBuilder;
import biz.paluch.logging.gelf.intern.GelfMessage;
import biz.paluch.logging.gelf.standalone.DatenpumpeImpl;
import biz.paluch.logging.gelf.standalone.DefaultGelfSenderConfiguration;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;

/** Adapter of the subject protocol for logstash-gelf, over sockets on the loopback. */
public final class Adapter {
    public static void main(String[] arguments) throws Exception {
        String version = GelfSubject.versionOf(GelfMessage.class, "biz.paluch.logging", "logstash-gelf");
        String notes = "Configured for GELF 1.1. By default it sends 1.0: no version, timestamp and level as"
                + " strings. Datagrams have up to 8,204 bytes by default. Field values are strings in its"
                + " interface; strings that parse as numbers become numbers.";
        GelfSubject.serve(GelfSubject.sender("logstash-gelf", version, notes), Map.of("send", Adapter::send));
    }

    private static ObjectNode send(JsonNode request) throws Exception {
        boolean datagrams = request.path("transport").asText().equals("udp");
        if (!request.path("compression").asText("none").equals(datagrams ? "gzip" : "none")) {
            throw new GelfSubject.Unsupported(datagrams ? "always gzip on UDP" : "never compressed on TCP");
        }
        GelfMessage message = message(request.path("message"), request.path("datagram_size").asInt(1420));
        return GelfSubject.capture(request, port -> {
            DefaultGelfSenderConfiguration configuration = new DefaultGelfSenderConfiguration((text, thrown) -> {
                throw new GelfSubject.Refused(thrown == null ? text : text + ": " + thrown);
            });
            configuration.setHost(request.path("transport").asText() + ":" + GelfSubject.LOOPBACK);
            configuration.setPort(port);
            DatenpumpeImpl pump = new DatenpumpeImpl(configuration);
            GelfSubject.refusing(() -> pump.submit(message), pump::close);
        });
    }

    private static GelfMessage message(JsonNode asked, int datagramSize) {
        GelfMessageBuilder builder = GelfMessageBuilder.newInstance().withVersion(GelfMessage.GELF_VERSION_1_1)
                .withMaximumMessageSize(datagramSize - GelfSubject.CHUNK_HEADER);
        GelfSubject.ifGiven(asked, "host", host -> builder.withHost(host.asText()));
        GelfSubject.ifGiven(asked, "short_message", text -> builder.withShortMessage(text.asText()));
        GelfSubject.ifGiven(asked, "full_message", text -> builder.withFullMessage(text.asText()));
        GelfSubject.ifGiven(asked, "level", level -> builder.withLevel(level.asText()));
        GelfSubject.ifGiven(asked, "timestamp", any -> builder.withJavaTimestamp(GelfSubject.millisOf(asked)));
        asked.path("fields").fields()
                .forEachRemaining(field -> builder.withField(field.getKey(), field.getValue().asText()));
        return builder.build();
    }
}
