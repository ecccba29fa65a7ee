import biz.paluch.logging.gelf.GelfMessageBuilder;
import biz.paluch.logging.gelf.intern.GelfMessage;
import biz.paluch.logging.gelf.standalone.DatenpumpeImpl;
import biz.paluch.logging.gelf.standalone.DefaultGelfSenderConfiguration;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;

/** Adapter of the subject protocol for logstash-gelf, over sockets on the loopback. */
public final class Adapter {
    private static final String LOOPBACK = "127.0.0.1";
    private static final int CHUNK_HEADER = 12;
    /** Sentinel that the adapter sends to mark the end of the datagrams. */
    private static final byte[] LAST = "end of request".getBytes(StandardCharsets.UTF_8);

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
        String compression = request.path("compression").asText("none");
        if (!compression.equals(datagrams ? "gzip" : "none")) {
            return answer.put("unsupported", datagrams ? "always gzip on UDP" : "never compressed on TCP");
        }
        BigDecimal timestamp = request.path("message").path("timestamp").decimalValue();
        if (timestamp.movePointRight(3).stripTrailingZeros().scale() > 0) {
            return answer.put("unsupported", "timestamps are whole milliseconds");
        }
        List<String> errors = new ArrayList<>();
        try {
            if (datagrams) {
                sendDatagrams(request, errors, answer.putArray("datagrams"));
            } else {
                answer.put("stream", HexFormat.of().formatHex(sendStream(request, errors)));
            }
        } catch (RuntimeException refused) {
            errors.add(refused.toString());
        }
        if (!errors.isEmpty()) {
            answer.remove(List.of("datagrams", "stream"));
            answer.putObject("error").put("text", String.join("; ", errors));
        }
        return answer;
    }

    private static ObjectNode hello(ObjectNode answer) throws IOException {
        Properties properties = new Properties();
        properties.load(GelfMessage.class.getResourceAsStream(
                "/META-INF/maven/biz.paluch.logging/logstash-gelf/pom.properties"));
        answer.put("name", "logstash-gelf").put("version", properties.getProperty("version")).put("language", "Java");
        answer.putArray("can").add("send");
        answer.putArray("sends").add("udp").add("tcp");
        return answer.put("notes", "Configured for GELF 1.1. By default it sends 1.0: no version, timestamp and level as"
                + " strings. Datagrams have up to 8,204 bytes by default. Field values are strings in its"
                + " interface; strings that parse as numbers become numbers.");
    }

    private static GelfMessage message(JsonNode asked, int datagramSize) {
        GelfMessageBuilder builder = GelfMessageBuilder.newInstance().withVersion(GelfMessage.GELF_VERSION_1_1)
                .withMaximumMessageSize(datagramSize - CHUNK_HEADER);
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

    private static void submit(JsonNode request, String protocol, int port, List<String> errors) {
        DefaultGelfSenderConfiguration configuration = new DefaultGelfSenderConfiguration(
                (text, exception) -> errors.add(exception == null ? text : text + ": " + exception));
        configuration.setHost(protocol + ":" + LOOPBACK);
        configuration.setPort(port);
        DatenpumpeImpl pump = new DatenpumpeImpl(configuration);
        try {
            pump.submit(message(request.path("message"), request.path("datagram_size").asInt(1420)));
        } finally {
            pump.close();
        }
    }

    private static void sendDatagrams(JsonNode request, List<String> errors, ArrayNode datagrams) throws IOException {
        try (DatagramSocket socket = new DatagramSocket(0, InetAddress.getByName(LOOPBACK));
                DatagramSocket own = new DatagramSocket()) {
            // As large as the system allows, because 128 datagrams arrive in a burst.
            socket.setReceiveBufferSize(8 << 20);
            CompletableFuture<List<byte[]>> received = CompletableFuture.supplyAsync(() -> receiveUntilLast(socket));
            try {
                submit(request, "udp", socket.getLocalPort(), errors);
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

    private static byte[] sendStream(JsonNode request, List<String> errors) throws IOException {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getByName(LOOPBACK))) {
            server.setSoTimeout(1000);
            CompletableFuture<byte[]> received = CompletableFuture.supplyAsync(() -> receiveAll(server));
            submit(request, "tcp", server.getLocalPort(), errors);
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
