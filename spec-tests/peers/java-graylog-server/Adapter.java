import com.codahale.metrics.MetricRegistry;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.inject.Guice;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundHandlerAdapter;
import io.netty.channel.ChannelPromise;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.DatagramPacket;
import io.netty.handler.codec.Delimiters;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.graylog2.inputs.codecs.GelfChunkAggregator;
import org.graylog2.inputs.codecs.GelfCodec;
import org.graylog2.inputs.codecs.gelf.GELFBulkDroppedMsgService;
import org.graylog2.inputs.diagnosis.InputDiagnosisMetrics;
import org.graylog2.inputs.transports.TcpTransport;
import org.graylog2.inputs.transports.netty.ByteBufMessageAggregationHandler;
import org.graylog2.inputs.transports.netty.DatagramPacketHandler;
import org.graylog2.inputs.transports.netty.EnvelopeMessageAggregationHandler;
import org.graylog2.inputs.transports.netty.EnvelopeMessageHandler;
import org.graylog2.inputs.transports.netty.ExceptionLoggingChannelHandler;
import org.graylog2.inputs.transports.netty.LenientDelimiterBasedFrameDecoder;
import org.graylog2.inputs.transports.netty.RawMessageHandler;
import org.graylog2.plugin.LocalMetricRegistry;
import org.graylog2.plugin.Message;
import org.graylog2.plugin.MessageBindings;
import org.graylog2.plugin.MessageFactory;
import org.graylog2.plugin.configuration.Configuration;
import org.graylog2.plugin.inputs.MessageInput;
import org.graylog2.plugin.inputs.failure.InputProcessingException;
import org.graylog2.plugin.journal.RawMessage;
import org.joda.time.DateTimeUtils;
import org.slf4j.LoggerFactory;

/**
 * Adapter of the subject protocol for the GELF inputs of a Graylog server.
 *
 * <p>The inputs are assembled like in the server from its own parts: the channel handlers of its UDP and TCP transports,
 * the chunk aggregator, the codec. Two parts differ: the event loop is Netty's embedded one, so that the clock can be
 * set, and messages go to the codec directly, without the journal.
 */
public final class Adapter {
    /** Start time of a request in milliseconds; no vector uses it as a timestamp. */
    private static final long BEGIN = 3_000_000_000_321L;
    /** Maximum number of bytes that a TCP transport reads at once. */
    private static final int READ_SIZE = 65_536;

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final MessageFactory MESSAGE_FACTORY =
            Guice.createInjector(new MessageBindings()).getInstance(MessageFactory.class);
    /** Logger with the errors of datagrams. */
    private static final Logger DATAGRAM_LOG = Logger.getLogger(EnvelopeMessageAggregationHandler.class.getName());
    /** Logger with the reasons for closed channels. */
    private static final Logger CHANNEL_LOG = Logger.getLogger(Adapter.class.getName());

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
        try {
            return new Receiver().receive(request);
        } catch (LinkageError incomplete) {
            // A library is missing in this setup, which is not an error of the server.
            throw incomplete;
        } catch (Throwable thrown) {
            return JSON.createObjectNode().put("crashed", thrown.toString());
        }
    }

    /** Returns a message of an answer. */
    static ObjectNode told(Message message) {
        Map<String, Object> fields = new HashMap<>(message.getFields());
        ObjectNode told = JSON.createObjectNode();
        fields.remove(Message.FIELD_ID);
        fields.remove(Message.FIELD_TIMESTAMP);
        if (message.getTimestamp().getMillis() != DateTimeUtils.currentTimeMillis()) {
            told.put("timestamp", BigDecimal.valueOf(message.getTimestamp().getMillis(), 3));
        }
        move(fields, Message.FIELD_SOURCE, told, "host");
        move(fields, Message.FIELD_MESSAGE, told, "short_message");
        move(fields, Message.FIELD_FULL_MESSAGE, told, "full_message");
        move(fields, Message.FIELD_LEVEL, told, "level");
        told.set("fields", JSON.valueToTree(fields));
        return told;
    }

    private static void move(Map<String, Object> fields, String field, ObjectNode message, String member) {
        Object value = fields.remove(field);
        if (value != null) {
            message.set(member, JSON.valueToTree(value));
        }
    }

    /** A GELF input with nothing pending. */
    private static final class Receiver {
        private final ObjectNode answer = JSON.createObjectNode();
        private final ArrayNode messages = answer.putArray("messages");
        private final ArrayNode errors = answer.putArray("errors");
        private final ArrayNode events = answer.putArray("events");
        private final MetricRegistry metrics = new MetricRegistry();
        private final MadeUpScheduler scheduler = new MadeUpScheduler();
        private final Map<String, InetSocketAddress> addresses = new HashMap<>();
        private final GelfChunkAggregator aggregator;
        private final GelfCodec codec;
        private boolean closing;
        private int logged;

        Receiver() {
            DateTimeUtils.setCurrentMillisFixed(BEGIN);
            aggregator = new GelfChunkAggregator(scheduler, metrics);
            codec = new GelfCodec(new Configuration(Map.of()), aggregator, MESSAGE_FACTORY,
                    new GELFBulkDroppedMsgService(new InputDiagnosisMetrics(metrics)));
        }

        ObjectNode receive(JsonNode request) throws Exception {
            Handler log = new LogHandler();
            DATAGRAM_LOG.addHandler(log);
            CHANNEL_LOG.addHandler(log);
            boolean datagrams = request.path("transport").asText().equals("udp");
            EmbeddedChannel channel = datagrams ? udp() : tcp();
            try {
                for (JsonNode step : request.path("steps")) {
                    if (step.has("at")) {
                        scheduler.advanceTo(BEGIN + step.get("at").decimalValue().movePointRight(3).longValue());
                    }
                    byte[] bytes = HexFormat.of().parseHex(step.path("hex").asText());
                    if (datagrams && step.has("hex")) {
                        take(channel, new DatagramPacket(Unpooled.wrappedBuffer(bytes), addressOf("receiver"),
                                addressOf(step.path("from").asText("A"))));
                    }
                    for (int from = 0; !datagrams && from < bytes.length; from += READ_SIZE) {
                        take(channel, Unpooled.wrappedBuffer(bytes, from, Math.min(READ_SIZE, bytes.length - from)));
                    }
                    if (step.path("end").asBoolean()) {
                        take(channel, null);
                    }
                    addEvents();
                }
                answer.put("pending", metrics.counter(GelfChunkAggregator.WAITING_MESSAGES).getCount());
                return answer;
            } finally {
                DATAGRAM_LOG.removeHandler(log);
                CHANNEL_LOG.removeHandler(log);
            }
        }

        /** Creates the handlers of org.graylog2.inputs.transports.UdpTransport. */
        private EmbeddedChannel udp() {
            MessageInput input = new CollectingInput();
            return new EmbeddedChannel(
                    new LateClose(),
                    DatagramPacketHandler.INSTANCE,
                    new EnvelopeMessageAggregationHandler(aggregator, metrics),
                    new EnvelopeMessageHandler(input),
                    new ExceptionLoggingChannelHandler(input, LoggerFactory.getLogger(CHANNEL_LOG.getName())));
        }

        /** Creates the handlers of org.graylog2.inputs.transports.TcpTransport for GELF. */
        private EmbeddedChannel tcp() {
            MessageInput input = new CollectingInput();
            return new EmbeddedChannel(
                    new LateClose(),
                    new LenientDelimiterBasedFrameDecoder(2 * 1024 * 1024, Delimiters.nulDelimiter()),
                    new ByteBufMessageAggregationHandler(aggregator, metrics),
                    new RawMessageHandler(input),
                    new ExceptionLoggingChannelHandler(input, LoggerFactory.getLogger(CHANNEL_LOG.getName()))) {
                @Override
                protected SocketAddress remoteAddress0() {
                    return isActive() ? addressOf("A") : null;
                }
            };
        }

        /** Passes bytes or the end of the stream to the channel, unless the server has closed it. */
        private void take(EmbeddedChannel channel, Object read) {
            if (!channel.isOpen()) {
                return;
            }
            long invalid = metrics.meter("invalidMessages").getCount();
            logged = 0;
            if (read != null) {
                channel.writeInbound(read);
            }
            if (read == null || closing) {
                channel.pipeline().remove(LateClose.class);
                channel.close();
            }
            for (long silent = metrics.meter("invalidMessages").getCount() - invalid - logged; silent > 0; silent--) {
                addError("counted as invalid");
            }
        }

        private InetSocketAddress addressOf(String name) {
            int port = 40_000 + addresses.size();
            return addresses.computeIfAbsent(name, unused -> new InetSocketAddress("127.0.0.1", port));
        }

        /** Decodes a message like the server after reading it from its journal. */
        private void decode(RawMessage rawMessage) {
            try {
                Message message = codec.decodeSafe(rawMessage).orElseThrow();
                if (message.isComplete()) {
                    messages.add(told(message));
                } else {
                    addError("dropped, counted as incomplete");
                }
            } catch (InputProcessingException refused) {
                Throwable cause = refused.getCause();
                String text = refused.getMessage();
                addError(cause == null || text.contains(cause.getMessage()) ? text : text + ": " + cause.getMessage());
            } catch (RuntimeException unexpected) {
                // The server catches these, too: "Unable to decode raw message due to an unexpected error."
                addError(unexpected.toString());
            }
        }

        private void addError(String text) {
            errors.addObject().put("text", text);
        }

        private void addEvents() {
            addEvents("Duplicate", GelfChunkAggregator.DUPLICATE_CHUNKS);
            addEvents("Expired", GelfChunkAggregator.EXPIRED_MESSAGES);
        }

        private void addEvents(String name, String counter) {
            long count = metrics.counter(counter).getCount();
            metrics.counter(counter).dec(count);
            for (; count > 0; count--) {
                events.add(name);
            }
        }

        /** The input to which the channel handlers pass their messages. */
        private final class CollectingInput extends MessageInput {
            CollectingInput() {
                super(metrics, new Configuration(Map.of()), null, new LocalMetricRegistry(), codec,
                        new MessageInput.Config(new TcpTransport.Config(), new GelfCodec.Config()) {}, null, null);
            }

            /** Like the overridden method, but calls the codec instead of the journal. */
            @Override
            public void processRawMessage(RawMessage rawMessage) {
                if (rawMessage.getPayload().length > 0) {
                    decode(rawMessage);
                }
            }

            @Override
            public String toIdentifier() {
                return "GELF";
            }
        }

        /**
         * A channel notifies its handlers that it is closed after they have handled the read bytes; Netty's embedded
         * channel would notify them earlier.
         */
        private final class LateClose extends ChannelOutboundHandlerAdapter {
            @Override
            public void close(ChannelHandlerContext context, ChannelPromise promise) {
                closing = true;
            }
        }

        /** Takes the errors from the server's log. */
        private final class LogHandler extends Handler {
            @Override
            public void publish(LogRecord record) {
                if (record.getLoggerName().equals(DATAGRAM_LOG.getName())) {
                    addError(record.getMessage());
                    logged++;
                } else {
                    addError("the server closes the connection: " + record.getThrown());
                }
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        }
    }

    /** Runs the aggregator's task of every second, by the clock of the request. */
    private static final class MadeUpScheduler extends ScheduledThreadPoolExecutor {
        private Runnable task;
        private long next;
        private long period;

        MadeUpScheduler() {
            super(0);
        }

        @Override
        public ScheduledFuture<?> scheduleAtFixedRate(Runnable command, long delay, long interval, TimeUnit unit) {
            task = command;
            next = BEGIN + unit.toMillis(delay);
            period = unit.toMillis(interval);
            return null;
        }

        void advanceTo(long now) {
            for (; next <= now; next += period) {
                DateTimeUtils.setCurrentMillisFixed(next);
                task.run();
            }
            DateTimeUtils.setCurrentMillisFixed(now);
        }
    }
}
