import ch.qos.logback.classic.*;
import ch.qos.logback.classic.spi.LoggingEvent;
import ch.qos.logback.core.status.Status;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import de.siegmar.logbackgelf.*;
import java.util.*;
import org.slf4j.event.KeyValuePair;

/** Adapter of the subject protocol for the appenders of logback-gelf, over sockets on the loopback. */
public final class Adapter {
    /** Logback's level for each GELF level that the library sends. */
    private static final Map<Integer, Level> LEVELS =
            Map.of(3, Level.ERROR, 4, Level.WARN, 6, Level.INFO, 7, Level.DEBUG);

    public static void main(String[] arguments) throws Exception {
        String notes = "Uses its appenders with logging events: short_message is the text, fields are key-value pairs,"
                + " full_message is the text with a line feed. An event always has a level, by default 6.";
        String version = GelfSubject.versionOfFile(GelfEncoder.class);
        GelfSubject.serve(GelfSubject.sender("logback-gelf", version, notes, "full_message"), Map.of("send", Adapter::send));
    }

    private static ObjectNode send(JsonNode request) throws Exception {
        JsonNode message = request.path("message");
        String compression = request.path("compression").asText("none");
        boolean tcp = request.path("transport").asText().equals("tcp");
        GelfSubject.check(LEVELS.containsKey(message.path("level").asInt(6)), "no such level of Logback");
        GelfSubject.check(!tcp || compression.equals("none"), "no compression on TCP");
        GelfUdpAppender udp = new GelfUdpAppender();
        udp.setMaxChunkSize(request.path("datagram_size").asInt(1420));
        udp.setCompressionMethod(CompressionMethod.valueOf(compression.toUpperCase(Locale.ROOT)));
        AbstractGelfAppender appender = tcp ? new GelfTcpAppender() : udp;
        LoggerContext context = new LoggerContext();
        context.setMDCAdapter(new ch.qos.logback.classic.util.LogbackMDCAdapter());
        GelfEncoder encoder = new GelfEncoder();
        encoder.setContext(context);
        encoder.setOriginHost(message.path("host").asText());
        encoder.start();
        appender.setContext(context);
        appender.setEncoder(encoder);
        appender.setGraylogHost(GelfSubject.LOOPBACK);
        return GelfSubject.capture(request, port -> {
            appender.setGraylogPort(port);
            appender.start();
            GelfSubject.refusing(() -> appender.doAppend(event(message, context)), appender::stop);
            // An appender does not throw; its errors are status messages of the context.
            Optional<Status> error = context.getStatusManager().getCopyOfStatusList().stream()
                    .filter(status -> status.getLevel() == Status.ERROR).findFirst();
            GelfSubject.refuse(error.map(Status::toString));
        });
    }

    private static LoggingEvent event(JsonNode asked, LoggerContext context) {
        LoggingEvent event = new LoggingEvent(Adapter.class.getName(), context.getLogger("peer"),
                LEVELS.get(asked.path("level").asInt(6)), asked.path("short_message").asText(), null, null);
        GelfSubject.ifGiven(asked, "timestamp", seconds -> event.setInstant(GelfSubject.instantOf(asked)));
        GelfSubject.fields(asked, (name, value) -> event.addKeyValuePair(new KeyValuePair(name, value)));
        return event;
    }
}
