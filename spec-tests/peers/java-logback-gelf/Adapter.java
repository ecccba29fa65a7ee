import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.LoggingEvent;
import ch.qos.logback.core.status.ErrorStatus;
import ch.qos.logback.core.status.Status;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import de.siegmar.logbackgelf.AbstractGelfAppender;
import de.siegmar.logbackgelf.CompressionMethod;
import de.siegmar.logbackgelf.GelfEncoder;
import de.siegmar.logbackgelf.GelfTcpAppender;
import de.siegmar.logbackgelf.GelfUdpAppender;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.slf4j.LoggerFactory;
import org.slf4j.event.KeyValuePair;

/** Adapter of the subject protocol for the appenders of logback-gelf, over sockets on the loopback. */
public final class Adapter {
    /** Logback's level for each GELF level that the library sends. */
    private static final Map<Integer, Level> LEVELS =
            Map.of(3, Level.ERROR, 4, Level.WARN, 6, Level.INFO, 7, Level.DEBUG);

    public static void main(String[] arguments) throws Exception {
        // Only the name of its file has the version of the library.
        String library = GelfEncoder.class.getProtectionDomain().getCodeSource().getLocation().getPath();
        String version = library.replaceAll(".*/logback-gelf-(.*)\\.jar", "$1");
        ObjectNode hello = GelfSubject.hello("logback-gelf", version, "send");
        hello.putArray("sends").add("udp").add("tcp");
        hello.putArray("fixed").add("full_message");
        hello.put("notes", "Uses its appenders with logging events: short_message is the event's text, fields are"
                + " its key-value pairs, full_message is the text with a line feed. Levels are 3, 4, 6 and 7;"
                + " an event always has one, by default 6.");
        GelfSubject.serve(hello, Map.of("send", Adapter::send));
    }

    private static ObjectNode send(JsonNode request) throws Exception {
        String compression = request.path("compression").asText("none");
        JsonNode level = request.path("message").path("level");
        if (!level.isMissingNode() && !LEVELS.containsKey(level.intValue())) {
            throw new GelfSubject.Unsupported("no Logback level maps to severity " + level);
        }
        LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
        context.reset();
        context.getStatusManager().clear();
        ObjectNode answer;
        if (request.path("transport").asText().equals("udp")) {
            GelfUdpAppender appender = new GelfUdpAppender();
            appender.setMaxChunkSize(request.path("datagram_size").asInt(1420));
            appender.setCompressionMethod(CompressionMethod.valueOf(compression.toUpperCase(Locale.ROOT)));
            answer = GelfSubject.captureUdp(port -> append(appender, request, context, port));
        } else if (compression.equals("none")) {
            answer = GelfSubject.captureTcp(port -> append(new GelfTcpAppender(), request, context, port));
        } else {
            throw new GelfSubject.Unsupported("no compression on TCP");
        }
        // An appender does not throw; its errors are status messages of the context.
        List<Status> errors = context.getStatusManager().getCopyOfStatusList();
        errors.removeIf(status -> status.getLevel() != Status.ERROR);
        if (answer.path("datagrams").isEmpty() && answer.path("stream").asText().isEmpty() && !errors.isEmpty()) {
            throw new GelfSubject.Refused(errors.stream().map(Adapter::text).collect(Collectors.joining("; ")));
        }
        return answer;
    }

    private static String text(Status error) {
        return error.getMessage() + (error.getThrowable() == null ? "" : ": " + error.getThrowable());
    }

    private static LoggingEvent event(JsonNode asked, LoggerContext context) {
        Logger logger = context.getLogger("peer");
        Level level = LEVELS.get(asked.path("level").asInt(6));
        String text = asked.path("short_message").asText();
        LoggingEvent event = new LoggingEvent(Adapter.class.getName(), logger, level, text, null, null);
        if (asked.has("timestamp")) {
            BigDecimal timestamp = asked.get("timestamp").decimalValue();
            BigDecimal seconds = timestamp.setScale(0, RoundingMode.FLOOR);
            long nanoseconds = timestamp.subtract(seconds).movePointRight(9).longValue();
            event.setInstant(Instant.ofEpochSecond(seconds.longValueExact(), nanoseconds));
        }
        asked.path("fields").fields().forEachRemaining(field -> {
            event.addKeyValuePair(new KeyValuePair(field.getKey(), GelfSubject.valueOf(field.getValue())));
        });
        return event;
    }

    private static void append(AbstractGelfAppender appender, JsonNode request, LoggerContext context, int port) {
        JsonNode message = request.path("message");
        GelfEncoder encoder = new GelfEncoder();
        encoder.setContext(context);
        if (message.has("host")) {
            encoder.setOriginHost(message.get("host").asText());
        }
        encoder.start();
        appender.setContext(context);
        appender.setEncoder(encoder);
        appender.setGraylogHost(GelfSubject.LOOPBACK);
        appender.setGraylogPort(port);
        appender.start();
        try {
            if (appender.isStarted()) {
                appender.doAppend(event(message, context));
            }
        } catch (RuntimeException refused) {
            context.getStatusManager().add(new ErrorStatus(refused.toString(), appender));
        } finally {
            appender.stop();
        }
    }
}
