import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import org.graylog2.GelfMessage;
import org.graylog2.GelfSender;
import org.graylog2.GelfSenderResult;
import org.graylog2.GelfTCPSender;
import org.graylog2.GelfUDPSender;

/** Adapter of the subject protocol for gelfj, over sockets on the loopback. */
public final class Adapter {
    private static final int DATAGRAM_SIZE = 1420 + GelfSubject.CHUNK_HEADER;

    public static void main(String[] arguments) throws Exception {
        String version = GelfSubject.versionOf(GelfMessage.class, "org.graylog2", "gelfj");
        String notes = "Uses GelfMessage with GelfUDPSender and GelfTCPSender. A message needs a facility; it is the"
                + " one that the library's handlers set. Datagrams have up to " + DATAGRAM_SIZE + " bytes, a fixed limit.";
        ObjectNode hello = GelfSubject.sender("gelfj", version, notes, "datagram_size");
        GelfSubject.serve(hello, Map.of("send", Adapter::send));
    }

    private static ObjectNode send(JsonNode request) throws Exception {
        boolean datagrams = request.path("transport").asText().equals("udp");
        if (!request.path("compression").asText("none").equals(datagrams ? "gzip" : "none")) {
            throw new GelfSubject.Unsupported(datagrams ? "always gzip on UDP" : "never compressed on TCP");
        }
        GelfMessage message = message(request.path("message"));
        return GelfSubject.capture(request, port -> {
            GelfSender sender = datagrams
                    ? new GelfUDPSender(GelfSubject.LOOPBACK, port) : new GelfTCPSender(GelfSubject.LOOPBACK, port);
            GelfSubject.refusing(() -> {
                GelfSenderResult result = sender.sendMessage(message);
                if (result.getCode() != GelfSenderResult.OK.getCode()) {
                    throw new GelfSubject.Refused(result.toString());
                }
            }, sender::close);
        });
    }

    private static GelfMessage message(JsonNode asked) {
        GelfMessage message = new GelfMessage();
        message.setFacility("gelf-java");
        message.setHost(asked.path("host").asText());
        message.setShortMessage(asked.path("short_message").asText());
        message.setFullMessage(asked.path("full_message").asText());
        message.setJavaTimestamp(asked.has("timestamp") ? GelfSubject.millisOf(asked) : System.currentTimeMillis());
        message.setLevel(asked.path("level").asText("6"));
        GelfSubject.fields(asked, message::addField);
        return message;
    }
}
