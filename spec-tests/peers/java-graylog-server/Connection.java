import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundHandlerAdapter;
import io.netty.channel.ChannelPromise;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.DatagramPacket;
import io.netty.handler.codec.Delimiters;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.HashMap;
import java.util.Map;
import org.graylog2.inputs.transports.netty.ByteBufMessageAggregationHandler;
import org.graylog2.inputs.transports.netty.DatagramPacketHandler;
import org.graylog2.inputs.transports.netty.EnvelopeMessageAggregationHandler;
import org.graylog2.inputs.transports.netty.EnvelopeMessageHandler;
import org.graylog2.inputs.transports.netty.ExceptionLoggingChannelHandler;
import org.graylog2.inputs.transports.netty.LenientDelimiterBasedFrameDecoder;
import org.graylog2.inputs.transports.netty.RawMessageHandler;
import org.slf4j.LoggerFactory;

/** A channel with the handlers of the server's UDP or TCP transport. */
final class Connection {
    /** Maximum number of bytes that a TCP transport reads at once. */
    private static final int READ_SIZE = 65_536;

    private final GelfInput input;
    private final boolean isUdp;
    private final EmbeddedChannel channel;
    private final Map<String, InetSocketAddress> addresses = new HashMap<>();
    private boolean closing;

    Connection(GelfInput input, boolean isUdp) {
        this.input = input;
        this.isUdp = isUdp;
        channel = isUdp ? udp() : tcp();
    }

    /** Creates the handlers of org.graylog2.inputs.transports.UdpTransport. */
    private EmbeddedChannel udp() {
        return new EmbeddedChannel(
                new LateClose(),
                DatagramPacketHandler.INSTANCE,
                new EnvelopeMessageAggregationHandler(input.aggregator, input.metrics),
                new EnvelopeMessageHandler(input),
                new ExceptionLoggingChannelHandler(input, LoggerFactory.getLogger(GelfInput.CHANNEL_LOG.getName())));
    }

    /** Creates the handlers of org.graylog2.inputs.transports.TcpTransport for GELF. */
    private EmbeddedChannel tcp() {
        return new EmbeddedChannel(
                new LateClose(),
                new LenientDelimiterBasedFrameDecoder(2 * 1024 * 1024, Delimiters.nulDelimiter()),
                new ByteBufMessageAggregationHandler(input.aggregator, input.metrics),
                new RawMessageHandler(input),
                new ExceptionLoggingChannelHandler(input, LoggerFactory.getLogger(GelfInput.CHANNEL_LOG.getName()))) {
            @Override
            protected SocketAddress remoteAddress0() {
                return isActive() ? addressOf("A") : null;
            }
        };
    }

    /** Passes a datagram of a sender, or a piece of the stream, to the channel. */
    void take(byte[] bytes, String from) {
        if (isUdp) {
            pass(new DatagramPacket(Unpooled.wrappedBuffer(bytes), addressOf("receiver"), addressOf(from)));
            return;
        }
        for (int at = 0; at < bytes.length; at += READ_SIZE) {
            pass(Unpooled.wrappedBuffer(bytes, at, Math.min(READ_SIZE, bytes.length - at)));
        }
    }

    /** Passes the end of the stream to the channel. */
    void end() {
        pass(null);
    }

    /** Passes bytes or the end of the stream to the channel, unless the server has closed it. */
    private void pass(Object read) {
        if (!channel.isOpen()) {
            return;
        }
        input.countingErrors(() -> {
            if (read != null) {
                channel.writeInbound(read);
            }
            if (read == null || closing) {
                channel.pipeline().remove(LateClose.class);
                channel.close();
            }
        });
    }

    private InetSocketAddress addressOf(String name) {
        int port = 40_000 + addresses.size();
        return addresses.computeIfAbsent(name, unused -> new InetSocketAddress("127.0.0.1", port));
    }

    /**
     * A channel notifies its handlers that it is closed after they have handled the read bytes; Netty's embedded channel
     * would notify them earlier.
     */
    private final class LateClose extends ChannelOutboundHandlerAdapter {
        @Override
        public void close(ChannelHandlerContext context, ChannelPromise promise) {
            closing = true;
        }
    }
}
