import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.appender.SocketAppender;
import org.apache.logging.log4j.core.impl.Log4jLogEvent;
import org.apache.logging.log4j.core.layout.GelfLayout;
import org.apache.logging.log4j.core.layout.GelfLayout.CompressionType;
import org.apache.logging.log4j.core.net.Protocol;
import org.apache.logging.log4j.message.SimpleMessage;
import org.apache.logging.log4j.util.SortedArrayStringMap;

/** Adapter of the subject protocol for Log4j's GelfLayout with a SocketAppender, over sockets on the loopback. */
public final class Adapter {
    /** Log4j's level for each GELF level that the layout writes. */
    private static final Map<Integer, Level> LEVELS =
            Map.of(1, Level.FATAL, 3, Level.ERROR, 4, Level.WARN, 6, Level.INFO, 7, Level.DEBUG);

    private static final Map<String, CompressionType> COMPRESSIONS =
            Map.of("none", CompressionType.OFF, "gzip", CompressionType.GZIP, "zlib", CompressionType.ZLIB);

    public static void main(String[] arguments) throws Exception {
        String version = GelfSubject.versionOf(GelfLayout.class, "org.apache.logging.log4j", "log4j-core");
        String notes = "The layout with a SocketAppender. Fields are the event's context, whose values are strings."
                + " An event always has a level, by default 6. A datagram size cannot be set: the layout has no chunks.";
        ObjectNode hello = GelfSubject.sender("Log4j GelfLayout", version, notes, "full_message", "datagram_size");
        GelfSubject.serve(hello, Map.of("send", Adapter::send));
    }

    private static ObjectNode send(JsonNode request) throws Exception {
        boolean datagrams = request.path("transport").asText().equals("udp");
        String compression = request.path("compression").asText("none");
        int level = request.path("message").path("level").asInt(6);
        GelfSubject.check(LEVELS.containsKey(level), "no such level of Log4j");
        GelfSubject.check(datagrams || compression.equals("none"), "no compression on TCP");
        GelfLayout layout = GelfLayout.newBuilder()
                .setHost(request.path("message").path("host").asText())
                .setCompressionType(COMPRESSIONS.get(compression))
                .setCompressionThreshold(0).setIncludeNullDelimiter(!datagrams).build();
        Log4jLogEvent event = event(request.path("message"), LEVELS.get(level));
        return GelfSubject.capture(request, port -> {
            SocketAppender appender = SocketAppender.newBuilder().setName("peer").setLayout(layout)
                    .setProtocol(datagrams ? Protocol.UDP : Protocol.TCP).setHost(GelfSubject.LOOPBACK).setPort(port)
                    .setIgnoreExceptions(false).build();
            appender.start();
            GelfSubject.refusing(() -> appender.append(event), appender::stop);
        });
    }

    private static Log4jLogEvent event(JsonNode asked, Level level) {
        SortedArrayStringMap context = new SortedArrayStringMap();
        asked.path("fields").fields().forEachRemaining(one -> context.putValue(one.getKey(), one.getValue().asText()));
        Log4jLogEvent.Builder event = Log4jLogEvent.newBuilder().setLoggerName("peer").setLevel(level)
                .setMessage(new SimpleMessage(asked.path("short_message").asText())).setContextData(context);
        return asked.has("timestamp") ? event.setTimeMillis(GelfSubject.millisOf(asked)).build() : event.build();
    }
}
