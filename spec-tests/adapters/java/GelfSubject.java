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
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * The subject protocol of the GELF conformance suite (spec-tests/PROTOCOL.md), for adapters in Java. It needs Jackson.
 *
 * <p>An adapter calls {@link #serve} with its answer to "hello" and a command for each request that its library supports:
 *
 * <pre>{@code
 * ObjectNode hello = GelfSubject.sender("library", "1.0", "It has no levels.", "level");
 * GelfSubject.serve(hello, Map.of("send", request -> GelfSubject.capture(
 *     request, port -> new Library("127.0.0.1", port).send(request.path("message").path("short_message").asText()))));
 * }</pre>
 */
public final class GelfSubject {
    public static final String LOOPBACK = "127.0.0.1";
    public static final int CHUNK_HEADER = 12;

    /** Reads and writes requests and answers. Numbers keep their digits. */
    public static final ObjectMapper JSON =
            new ObjectMapper().enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

    /** Milliseconds until a capture ends whose library makes no connection. */
    private static final int TIMEOUT = 1000;

    /** Returns the answer to a request, without its id. */
    @FunctionalInterface
    public interface Command {
        ObjectNode answer(JsonNode request) throws Exception;
    }

    /** Calls the library, which sends to this port of the loopback. */
    @FunctionalInterface
    public interface Send {
        void to(int port) throws Exception;
    }

    /** A request that the library does not support. */
    public static final class Unsupported extends RuntimeException {
        public Unsupported(String why) {
            super(why);
        }
    }

    /** An error of the library. */
    public static final class Refused extends RuntimeException {
        public Refused(String text) {
            super(text);
        }
    }

    private GelfSubject() {}

    /** Refuses a request that the library does not support. */
    public static void check(boolean supported, String why) {
        if (!supported) {
            throw new Unsupported(why);
        }
    }

    /** Answers with the error of the library, if there is one. */
    public static void refuse(Optional<String> error) {
        error.ifPresent(text -> {
            throw new Refused(text);
        });
    }

    /** Returns an answer to "hello", to which sends, fixed and notes can be added. */
    public static ObjectNode hello(String name, String version, String... can) {
        ObjectNode hello = JSON.createObjectNode();
        hello.put("name", name).put("version", version).put("language", "Java");
        ArrayNode words = hello.putArray("can");
        Arrays.stream(can).forEach(words::add);
        return hello;
    }

    /** Returns the answer to "hello" of a library that sends over UDP and TCP, and sets the fixed members itself. */
    public static ObjectNode sender(String name, String version, String notes, String... fixed) {
        ObjectNode hello = hello(name, version, "send").put("notes", notes);
        hello.putArray("sends").add("udp").add("tcp");
        ArrayNode members = hello.putArray("fixed");
        Arrays.stream(fixed).forEach(members::add);
        return hello;
    }

    /** Returns the version of a library, from the properties that Maven put beside this class of it. */
    public static String versionOf(Class<?> of, String group, String artifact) throws IOException {
        Properties properties = new Properties();
        properties.load(of.getResourceAsStream("/META-INF/maven/" + group + "/" + artifact + "/pom.properties"));
        return properties.getProperty("version");
    }

    /** Returns the version of a library, from the name of the file with this class of it. */
    public static String versionOfFile(Class<?> of) {
        String file = of.getProtectionDomain().getCodeSource().getLocation().getPath();
        return file.replaceAll(".*/[^/]*?-([0-9][^/]*)\\.jar", "$1");
    }

    /** Answers the requests on standard input until it ends. */
    public static void serve(ObjectNode hello, Map<String, Command> commands) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode request = JSON.readTree(line);
            ObjectNode answer = hello;
            if (!request.path("do").asText().equals("hello")) {
                answer = answer(request, commands);
                answer.set("id", request.path("id"));
            }
            out.println(JSON.writeValueAsString(answer));
            out.flush();
        }
    }

    private static ObjectNode answer(JsonNode request, Map<String, Command> commands) throws Exception {
        String name = request.path("do").asText();
        ObjectNode answer = JSON.createObjectNode();
        try {
            if (!commands.containsKey(name)) {
                throw new Unsupported("the library does not " + name);
            }
            return commands.get(name).answer(request);
        } catch (Unsupported reason) {
            return answer.put("unsupported", reason.getMessage());
        } catch (Refused error) {
            answer.putObject("error").put("text", String.valueOf(error.getMessage()));
            return answer;
        }
    }

    private static Object valueOf(JsonNode value) {
        if (value.isNumber()) {
            return value.numberValue();
        }
        return value.isBoolean() ? value.booleanValue() : value.asText();
    }

    /** Returns the timestamp of a message in milliseconds, for a library that has no finer ones. */
    public static long millisOf(JsonNode message) {
        try {
            return message.path("timestamp").decimalValue().movePointRight(3).longValueExact();
        } catch (ArithmeticException finer) {
            throw new Unsupported("timestamps are whole milliseconds");
        }
    }

    /** Returns the timestamp of a message, to the nanosecond. */
    public static Instant instantOf(JsonNode message) {
        return Instant.ofEpochSecond(0, message.path("timestamp").decimalValue().movePointRight(9).longValue());
    }

    /** Passes the name and the value of each field to the library, as a Number, a Boolean or a String. */
    public static void fields(JsonNode message, BiConsumer<String, Object> pass) {
        message.path("fields").fields().forEachRemaining(field -> pass.accept(field.getKey(), valueOf(field.getValue())));
    }

    /** Passes a member of a message to the library, if the message has it. */
    public static void ifGiven(JsonNode message, String name, Consumer<JsonNode> pass) {
        if (message.has(name)) {
            pass.accept(message.get(name));
        }
    }

    /** Calls the library, and then closes it. An exception of the library is its error. */
    public static void refusing(Runnable call, Runnable close) {
        try {
            call.run();
        } catch (Refused refused) {
            throw refused;
        } catch (RuntimeException thrown) {
            throw new Refused(thrown.toString());
        } finally {
            close.run();
        }
    }

    /** Returns the answer with these datagrams. */
    public static ObjectNode datagrams(Iterable<byte[]> sent) {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode datagrams = answer.putArray("datagrams");
        sent.forEach(datagram -> datagrams.add(HexFormat.of().formatHex(datagram)));
        return answer;
    }

    /** Returns the answer with these bytes of a connection. */
    public static ObjectNode stream(byte[] sent) {
        return JSON.createObjectNode().put("stream", HexFormat.of().formatHex(sent));
    }

    /** Captures what the library sends as the request asks: datagrams, or the bytes of a connection. */
    public static ObjectNode capture(JsonNode request, Send send) throws Exception {
        return request.path("transport").asText().equals("udp") ? captureUdp(send) : captureTcp(send);
    }

    /** Returns the answer with the datagrams that the library has sent before the call of it returns. */
    public static ObjectNode captureUdp(Send send) throws Exception {
        byte[] end = ("end of request " + System.nanoTime()).getBytes(StandardCharsets.UTF_8);
        InetAddress loopback = InetAddress.getByName(LOOPBACK);
        try (DatagramSocket socket = new DatagramSocket(0, loopback); DatagramSocket marker = new DatagramSocket()) {
            // As large as the system allows, because 128 datagrams arrive in a burst.
            socket.setReceiveBufferSize(8 << 20);
            CompletableFuture<ObjectNode> received = CompletableFuture.supplyAsync(() -> receiveUntil(end, socket));
            try {
                send.to(socket.getLocalPort());
            } finally {
                // The loopback keeps the order, so this is the last datagram.
                marker.send(new DatagramPacket(end, end.length, socket.getLocalSocketAddress()));
                received.join();
            }
            return received.join();
        }
    }

    private static ObjectNode receiveUntil(byte[] end, DatagramSocket socket) {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode datagrams = answer.putArray("datagrams");
        try {
            DatagramPacket packet = new DatagramPacket(new byte[65_536], 65_536);
            while (true) {
                packet.setLength(65_536);
                socket.receive(packet);
                byte[] datagram = Arrays.copyOf(packet.getData(), packet.getLength());
                if (Arrays.equals(datagram, end)) {
                    return answer;
                }
                datagrams.add(HexFormat.of().formatHex(datagram));
            }
        } catch (IOException broken) {
            throw new UncheckedIOException(broken);
        }
    }

    /** Returns the answer with the bytes of the connection that the library makes and closes. */
    public static ObjectNode captureTcp(Send send) throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getByName(LOOPBACK))) {
            server.setSoTimeout(TIMEOUT);
            CompletableFuture<byte[]> received = CompletableFuture.supplyAsync(() -> receiveAll(server));
            send.to(server.getLocalPort());
            return stream(received.join());
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
