import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.LoggingEvent;
import ch.qos.logback.core.status.Status;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import de.siegmar.logbackgelf.AbstractGelfAppender;
import de.siegmar.logbackgelf.CompressionMethod;
import de.siegmar.logbackgelf.GelfEncoder;
import de.siegmar.logbackgelf.GelfTcpAppender;
import de.siegmar.logbackgelf.GelfUdpAppender;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.slf4j.LoggerFactory;
import org.slf4j.event.KeyValuePair;

/** Adapter of the subject protocol for the appenders of logback-gelf, over sockets on the loopback. */
public final class Adapter {
    private static final String LOOPBACK = "127.0.0.1";
    /** Sentinel that the adapter sends to mark the end of the datagrams. */
    private static final byte[] LAST = "end of request".getBytes(StandardCharsets.UTF_8);
    /** Logback's level for each GELF level that the library sends. */
    private static final Map<Integer, Level> LEVELS =
            Map.of(3, Level.ERROR, 4, Level.WARN, 6, Level.INFO, 7, Level.DEBUG);

    private static final ObjectMapper JSON =
            new ObjectMapper().enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
            out.flush();
        }
    }

    private static ObjectNode answer(JsonNode request) throws Exception {
        ObjectNode answer = JSON.createObjectNode();
        if (request.path("do").asText().equals("hello")) {
            return hello(answer);
        }
        answer.set("id", request.path("id"));
        if (!request.path("do").asText().equals("send")) {
            return answer.put("unsupported", "it only sends");
        }
        boolean datagrams = request.path("transport").asText().equals("udp");
        if (!datagrams && !request.path("compression").asText("none").equals("none")) {
            return answer.put("unsupported", "no compression on TCP");
        }
        JsonNode level = request.path("message").path("level");
        if (!level.isMissingNode() && !LEVELS.containsKey(level.intValue())) {
            return answer.put("unsupported", "no Logback level maps to severity " + level);
        }
        LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
        context.reset();
        context.getStatusManager().clear();
        List<String> errors = new ArrayList<>();
        try {
            if (datagrams) {
                sendDatagrams(request, context, answer.putArray("datagrams"));
            } else {
                answer.put("stream", HexFormat.of().formatHex(sendStream(request, context)));
            }
        } catch (RuntimeException refused) {
            errors.add(refused.toString());
        }
        // An appender does not throw; its errors are status messages of the context.
        for (Status status : context.getStatusManager().getCopyOfStatusList()) {
            if (status.getLevel() == Status.ERROR) {
                errors.add(status.getMessage() + (status.getThrowable() == null ? "" : ": " + status.getThrowable()));
            }
        }
        boolean nothingSent = answer.path("datagrams").size() == 0 && answer.path("stream").asText().isEmpty();
        if (nothingSent && !errors.isEmpty()) {
            answer.remove(List.of("datagrams", "stream"));
            answer.putObject("error").put("text", String.join("; ", errors));
        }
        return answer;
    }

    /** Returns the version of the library, which only its file name contains. */
    private static ObjectNode hello(ObjectNode answer) {
        URL library = GelfEncoder.class.getProtectionDomain().getCodeSource().getLocation();
        String version = library.getPath().replaceAll(".*/logback-gelf-(.*)\\.jar", "$1");
        answer.put("name", "logback-gelf").put("version", version).put("language", "Java");
        answer.putArray("can").add("send");
        answer.putArray("sends").add("udp").add("tcp");
        answer.putArray("fixed").add("full_message");
        return answer.put("notes", "Uses its appenders with logging events: short_message is the event's text, fields are"
                + " its key-value pairs, full_message is the text with a line feed. Levels are 3, 4, 6 and 7;"
                + " an event always has one, by default 6.");
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
            event.addKeyValuePair(new KeyValuePair(field.getKey(), valueOf(field.getValue())));
        });
        return event;
    }

    private static Object valueOf(JsonNode value) {
        if (value.isNumber()) {
            return value.numberValue();
        }
        return value.isBoolean() ? value.booleanValue() : value.asText();
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
        appender.setGraylogHost(LOOPBACK);
        appender.setGraylogPort(port);
        appender.start();
        try {
            if (appender.isStarted()) {
                appender.doAppend(event(message, context));
            }
        } finally {
            appender.stop();
        }
    }

    private static void sendDatagrams(JsonNode request, LoggerContext context, ArrayNode datagrams) throws IOException {
        GelfUdpAppender appender = new GelfUdpAppender();
        appender.setMaxChunkSize(request.path("datagram_size").asInt(1420));
        appender.setCompressionMethod(
                CompressionMethod.valueOf(request.path("compression").asText("none").toUpperCase(Locale.ROOT)));
        try (DatagramSocket socket = new DatagramSocket(0, InetAddress.getByName(LOOPBACK));
                DatagramSocket own = new DatagramSocket()) {
            // As large as the system allows, because 128 datagrams arrive in a burst.
            socket.setReceiveBufferSize(8 << 20);
            CompletableFuture<List<byte[]>> received = CompletableFuture.supplyAsync(() -> receiveUntilLast(socket));
            try {
                append(appender, request, context, socket.getLocalPort());
            } finally {
                own.send(new DatagramPacket(LAST, LAST.length, socket.getLocalSocketAddress()));
                received.join().forEach(datagram -> datagrams.add(HexFormat.of().formatHex(datagram)));
            }
        }
    }

    private static List<byte[]> receiveUntilLast(DatagramSocket socket) {
        List<byte[]> datagrams = new ArrayList<>();
        try {
            DatagramPacket packet = new DatagramPacket(new byte[65_536], 65_536);
            while (true) {
                packet.setLength(65_536);
                socket.receive(packet);
                byte[] datagram = Arrays.copyOf(packet.getData(), packet.getLength());
                if (Arrays.equals(datagram, LAST)) {
                    return datagrams;
                }
                datagrams.add(datagram);
            }
        } catch (IOException broken) {
            throw new UncheckedIOException(broken);
        }
    }

    private static byte[] sendStream(JsonNode request, LoggerContext context) throws IOException {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getByName(LOOPBACK))) {
            server.setSoTimeout(1000);
            CompletableFuture<byte[]> received = CompletableFuture.supplyAsync(() -> receiveAll(server));
            append(new GelfTcpAppender(), request, context, server.getLocalPort());
            return received.join();
        }
    }

    private static byte[] receiveAll(ServerSocket server) {
        try (Socket socket = server.accept()) {
            return socket.getInputStream().readAllBytes();
        } catch (SocketTimeoutException nobody) {
            return new byte[0];
        } catch (IOException broken) {
            throw new UncheckedIOException(broken);
        }
    }
}
