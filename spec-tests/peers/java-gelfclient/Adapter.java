import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.EncoderException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.graylog2.gelfclient.Compression;
import org.graylog2.gelfclient.GelfConfiguration;
import org.graylog2.gelfclient.GelfMessage;
import org.graylog2.gelfclient.GelfMessageBuilder;
import org.graylog2.gelfclient.GelfMessageLevel;
import org.graylog2.gelfclient.GelfTransports;
import org.graylog2.gelfclient.encoder.GelfMessageChunkEncoder;
import org.graylog2.gelfclient.transport.GelfTransport;

/** Adapter of the subject protocol for gelfclient, over sockets on the loopback. */
public final class Adapter {
    /** Size of its chunks including the header, which cannot be set. */
    private static final int DATAGRAM_SIZE = 1432;
    private static final int DEFAULT_DATAGRAM_SIZE = 1420;

    private static final Map<String, Route> ROUTES = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        String version = GelfSubject.versionOf(GelfTransports.class, "org.graylog2", "gelfclient");
        ObjectNode hello = GelfSubject.hello("gelfclient", version, "send", "chunk");
        hello.putArray("sends").add("udp").add("tcp");
        hello.putArray("fixed").add("datagram_size");
        hello.put("notes", "Datagrams have up to " + DATAGRAM_SIZE + " bytes, a fixed limit."
                + " The caller gets no error when a message is not sent.");
        GelfSubject.serve(hello, Map.of("send", Adapter::send, "chunk", Adapter::chunk));
    }

    private static ObjectNode send(JsonNode request) throws Exception {
        GelfTransports transport = GelfTransports.valueOf(request.path("transport").asText().toUpperCase(Locale.ROOT));
        Compression compression =
                Compression.valueOf(request.path("compression").asText("none").toUpperCase(Locale.ROOT));
        int datagramSize = request.path("datagram_size").asInt(DEFAULT_DATAGRAM_SIZE);
        if (transport == GelfTransports.UDP && datagramSize != DEFAULT_DATAGRAM_SIZE && datagramSize != DATAGRAM_SIZE) {
            throw new GelfSubject.Unsupported("always datagrams of up to " + DATAGRAM_SIZE + " bytes");
        }
        try {
            GelfMessage message = message(request.path("message"));
            String key = transport + " " + compression;
            Route route = ROUTES.get(key);
            if (route == null) {
                route = transport == GelfTransports.UDP ? new UdpRoute(compression) : new TcpRoute(compression);
                ROUTES.put(key, route);
            }
            List<byte[]> sent = route.send(message);
            return transport == GelfTransports.TCP ? GelfSubject.stream(sent.get(0)) : GelfSubject.datagrams(sent);
        } catch (IllegalArgumentException refused) {
            throw new GelfSubject.Refused(refused.getMessage());
        }
    }

    private static GelfMessage message(JsonNode asked) {
        String text = asked.path("short_message").asText();
        GelfMessageBuilder builder = asked.has("host")
                ? new GelfMessageBuilder(text, asked.get("host").asText())
                : new GelfMessageBuilder(text);
        if (asked.has("full_message")) {
            builder.fullMessage(asked.get("full_message").asText());
        }
        if (asked.has("timestamp")) {
            builder.timestamp(asked.get("timestamp").doubleValue());
        }
        if (asked.has("level")) {
            builder.level(GelfMessageLevel.fromNumericLevel(asked.get("level").intValue()));
        }
        asked.path("fields").fields().forEachRemaining(field -> {
            builder.additionalField(field.getKey(), GelfSubject.valueOf(field.getValue()));
        });
        return builder.build();
    }

    private static ObjectNode chunk(JsonNode request) {
        if (request.path("datagram_size").asInt() != DATAGRAM_SIZE) {
            throw new GelfSubject.Unsupported("always datagrams of up to " + DATAGRAM_SIZE + " bytes");
        }
        EmbeddedChannel channel = new EmbeddedChannel(new GelfMessageChunkEncoder());
        List<byte[]> datagrams = new ArrayList<>();
        try {
            channel.writeOutbound(Unpooled.wrappedBuffer(HexFormat.of().parseHex(request.path("payload").asText())));
        } catch (EncoderException refused) {
            throw new GelfSubject.Refused(refused.getMessage());
        }
        for (ByteBuf datagram = channel.readOutbound(); datagram != null; datagram = channel.readOutbound()) {
            datagrams.add(ByteBufUtil.getBytes(datagram));
        }
        return GelfSubject.datagrams(datagrams);
    }

    /**
     * A transport of the library and the socket that it sends to. It sends in the background, so a sentinel follows each
     * message, and the datagrams before the sentinel are the answer.
     */
    private abstract static class Route {
        private static final GelfMessage LAST =
                new GelfMessageBuilder("last", "adapter").timestamp(1.0).level(GelfMessageLevel.DEBUG).build();
        private GelfTransport transport;

        final void connect(GelfTransports kind, Compression compression, int port) {
            transport = GelfTransports.create(
                    new GelfConfiguration(new InetSocketAddress(InetAddress.getLoopbackAddress(), port))
                            .transport(kind).compression(compression));
        }

        final void sendLast() throws Exception {
            transport.send(LAST);
        }

        final List<byte[]> send(GelfMessage message) throws Exception {
            transport.send(message);
            sendLast();
            return receive();
        }

        /** Returns the datagrams before the sentinel. */
        abstract List<byte[]> receive() throws IOException;
    }

    private static final class UdpRoute extends Route {
        private final DatagramSocket socket = new DatagramSocket(0, InetAddress.getLoopbackAddress());
        private final byte[] last;

        UdpRoute(Compression compression) throws Exception {
            // As large as the system allows, because 128 datagrams arrive in a burst.
            socket.setReceiveBufferSize(8 << 20);
            socket.setSoTimeout(2000);
            connect(GelfTransports.UDP, compression, socket.getLocalPort());
            sendLast();
            last = receiveOne();
        }

        @Override
        List<byte[]> receive() throws IOException {
            List<byte[]> datagrams = new ArrayList<>();
            for (byte[] datagram = receiveOne(); !Arrays.equals(datagram, last); datagram = receiveOne()) {
                datagrams.add(datagram);
            }
            return datagrams;
        }

        private byte[] receiveOne() throws IOException {
            DatagramPacket packet = new DatagramPacket(new byte[65_536], 65_536);
            socket.receive(packet);
            return Arrays.copyOf(packet.getData(), packet.getLength());
        }
    }

    private static final class TcpRoute extends Route {
        private final Socket socket;
        private final byte[] last;

        TcpRoute(Compression compression) throws Exception {
            try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                connect(GelfTransports.TCP, compression, server.getLocalPort());
                socket = server.accept();
            }
            socket.setSoTimeout(2000);
            sendLast();
            last = receiveUntil(new byte[] {0});
        }

        @Override
        List<byte[]> receive() throws IOException {
            byte[] all = receiveUntil(last);
            return List.of(Arrays.copyOf(all, all.length - last.length));
        }

        private byte[] receiveUntil(byte[] end) throws IOException {
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            byte[] piece = new byte[65_536];
            do {
                int length = socket.getInputStream().read(piece);
                if (length < 0) {
                    throw new IOException("the library has closed the connection");
                }
                all.write(piece, 0, length);
            } while (!endsWith(all.toByteArray(), end));
            return all.toByteArray();
        }

        private static boolean endsWith(byte[] bytes, byte[] end) {
            int from = bytes.length - end.length;
            return from >= 0 && Arrays.equals(bytes, from, bytes.length, end, 0, end.length);
        }
    }
}
