import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HexFormat;
import java.util.Map;
import java.util.logging.LogManager;
import org.graylog2.inputs.codecs.GelfCodec;

/**
 * Adapter of the subject protocol for the GELF inputs of a Graylog server.
 *
 * <p>The inputs are assembled like in the server from its own parts: the channel handlers of its UDP and TCP transports,
 * the chunk aggregator, the codec. Two parts differ: the event loop is Netty's embedded one, so that the clock can be
 * set, and messages go to the codec directly, without the journal.
 */
public final class Adapter {
    public static void main(String[] arguments) throws Exception {
        LogManager.getLogManager().reset();
        String version = GelfSubject.versionOf(GelfCodec.class, "org.graylog2", "graylog2-server");
        ObjectNode hello = GelfSubject.hello("Graylog", version, "datagrams", "stream", "clock");
        hello.put("notes", "The channel handlers, chunk aggregator and codec of its GELF inputs, on Netty's"
                + " embedded channel. A timestamp that equals the time of receipt is omitted. The aggregator's clean-up"
                + " runs from 5 s on, once a second.");
        GelfSubject.serve(hello, Map.of("receive", Adapter::receive));
    }

    private static ObjectNode receive(JsonNode request) {
        try (GelfInput input = new GelfInput()) {
            Connection connection = new Connection(input, request.path("transport").asText().equals("udp"));
            for (JsonNode step : request.path("steps")) {
                if (step.has("at")) {
                    input.clock.advanceTo(step.get("at").decimalValue());
                }
                if (step.has("hex")) {
                    byte[] bytes = HexFormat.of().parseHex(step.path("hex").asText());
                    connection.take(bytes, step.path("from").asText("A"));
                }
                if (step.path("end").asBoolean()) {
                    connection.end();
                }
                input.addEvents();
            }
            return input.answer();
        } catch (LinkageError incomplete) {
            // A library is missing in this setup, which is not an error of the server.
            throw incomplete;
        } catch (Throwable thrown) {
            return GelfSubject.JSON.createObjectNode().put("crashed", thrown.toString());
        }
    }
}
