import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.netty.buffer.*;
import io.netty.channel.embedded.EmbeddedChannel;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.graylog2.gelfclient.*;
import org.graylog2.gelfclient.encoder.GelfMessageChunkEncoder;
import org.graylog2.gelfclient.transport.GelfTransport;

/** Adapter of the subject protocol for gelfclient, over sockets on the loopback. */
public final class Adapter {
    public static void main(String[] arguments) throws Exception {
        String version = GelfSubject.versionOf(GelfTransports.class, "org.graylog2", "gelfclient");
        ObjectNode hello = GelfSubject.hello("gelfclient", version, "send", "chunk");
        hello.putArray("sends").add("udp").add("tcp");
        hello.putArray("fixed").add("datagram_size");
        hello.put("notes", "Datagrams have up to 1432 bytes, a fixed limit. A lost message is no error for the caller.");
        GelfSubject.serve(hello, Map.of("send", Adapter::send, "chunk", Adapter::chunk));
    }

    private static ObjectNode send(JsonNode request) throws Exception {
        int size = request.path("datagram_size").asInt(1420);
        GelfSubject.check(size == 1420 || size == 1432, "always datagrams of up to 1432 bytes");
        List<GelfMessage> message = new ArrayList<>();
        GelfSubject.refusing(() -> message.add(message(request.path("message"))), () -> {});
        return GelfSubject.capture(request, port -> {
            String transport = request.path("transport").asText().toUpperCase(Locale.ROOT);
            String compression = request.path("compression").asText("none").toUpperCase(Locale.ROOT);
            GelfTransport route = GelfTransports.create(new GelfConfiguration(GelfSubject.LOOPBACK, port)
                    .transport(GelfTransports.valueOf(transport)).compression(Compression.valueOf(compression)));
            route.send(message.get(0));
            route.flushAndStopSynchronously(10, TimeUnit.MILLISECONDS, 300);
        });
    }

    private static GelfMessage message(JsonNode asked) {
        GelfMessageBuilder message = new GelfMessageBuilder(asked.path("short_message").asText(), asked.path("host").asText());
        GelfSubject.ifGiven(asked, "full_message", text -> message.fullMessage(text.asText()));
        GelfSubject.ifGiven(asked, "timestamp", seconds -> message.timestamp(seconds.doubleValue()));
        GelfSubject.ifGiven(asked, "level", level -> message.level(GelfMessageLevel.fromNumericLevel(level.intValue())));
        GelfSubject.fields(asked, message::additionalField);
        return message.build();
    }

    private static ObjectNode chunk(JsonNode request) {
        GelfSubject.check(request.path("datagram_size").asInt() == 1432, "always datagrams of up to 1432 bytes");
        EmbeddedChannel channel = new EmbeddedChannel(new GelfMessageChunkEncoder());
        byte[] payload = HexFormat.of().parseHex(request.path("payload").asText());
        GelfSubject.refusing(() -> channel.writeOutbound(Unpooled.wrappedBuffer(payload)), () -> {});
        List<byte[]> datagrams = new ArrayList<>();
        for (ByteBuf datagram = channel.readOutbound(); datagram != null; datagram = channel.readOutbound()) {
            datagrams.add(ByteBufUtil.getBytes(datagram));
        }
        return GelfSubject.datagrams(datagrams);
    }
}
