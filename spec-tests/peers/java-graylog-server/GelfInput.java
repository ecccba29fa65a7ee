import com.codahale.metrics.MetricRegistry;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.graylog2.inputs.codecs.GelfChunkAggregator;
import org.graylog2.inputs.codecs.GelfCodec;
import org.graylog2.inputs.codecs.gelf.GELFBulkDroppedMsgService;
import org.graylog2.inputs.diagnosis.InputDiagnosisMetrics;
import org.graylog2.inputs.transports.TcpTransport;
import org.graylog2.inputs.transports.netty.EnvelopeMessageAggregationHandler;
import org.graylog2.plugin.LocalMetricRegistry;
import org.graylog2.plugin.Message;
import org.graylog2.plugin.configuration.Configuration;
import org.graylog2.plugin.inputs.MessageInput;
import org.graylog2.plugin.inputs.failure.InputProcessingException;
import org.graylog2.plugin.journal.RawMessage;

/** A GELF input with nothing pending, and the answer with what it delivers, refuses and counts. */
final class GelfInput extends MessageInput implements AutoCloseable {
    /** Logger with the errors of datagrams. */
    private static final Logger DATAGRAM_LOG = Logger.getLogger(EnvelopeMessageAggregationHandler.class.getName());
    /** Logger with the reasons for closed channels. */
    static final Logger CHANNEL_LOG = Logger.getLogger(GelfInput.class.getName());

    final Clock clock;
    final MetricRegistry metrics;
    final GelfChunkAggregator aggregator;
    private final GelfCodec codec;
    private final Handler log = new LogHandler();
    private final ObjectNode answer = GelfSubject.JSON.createObjectNode();
    private final ArrayNode messages = answer.putArray("messages");
    private final ArrayNode errors = answer.putArray("errors");
    private final ArrayNode events = answer.putArray("events");
    private int logged;

    /** The server's own parts of an input. */
    private record Parts(Clock clock, MetricRegistry metrics, GelfChunkAggregator aggregator, GelfCodec codec) {
        static Parts fresh() {
            Clock clock = new Clock();
            MetricRegistry metrics = new MetricRegistry();
            GelfChunkAggregator aggregator = new GelfChunkAggregator(clock, metrics);
            GelfCodec codec = new GelfCodec(new Configuration(Map.of()), aggregator, Messages.FACTORY,
                    new GELFBulkDroppedMsgService(new InputDiagnosisMetrics(metrics)));
            return new Parts(clock, metrics, aggregator, codec);
        }
    }

    GelfInput() {
        this(Parts.fresh());
    }

    private GelfInput(Parts parts) {
        super(parts.metrics, new Configuration(Map.of()), null, new LocalMetricRegistry(), parts.codec,
                new MessageInput.Config(new TcpTransport.Config(), new GelfCodec.Config()) {}, null, null);
        clock = parts.clock;
        metrics = parts.metrics;
        aggregator = parts.aggregator;
        codec = parts.codec;
        DATAGRAM_LOG.addHandler(log);
        CHANNEL_LOG.addHandler(log);
    }

    @Override
    public void close() {
        DATAGRAM_LOG.removeHandler(log);
        CHANNEL_LOG.removeHandler(log);
    }

    ObjectNode answer() {
        answer.put("pending", metrics.counter(GelfChunkAggregator.WAITING_MESSAGES).getCount());
        return answer;
    }

    /** Like the overridden method, but calls the codec instead of the journal. */
    @Override
    public void processRawMessage(RawMessage raw) {
        if (raw.getPayload().length > 0) {
            decode(raw);
        }
    }

    @Override
    public String toIdentifier() {
        return "GELF";
    }

    /** Decodes a message like the server after reading it from its journal. */
    private void decode(RawMessage raw) {
        try {
            Message message = codec.decodeSafe(raw).orElseThrow();
            if (message.isComplete()) {
                messages.add(Messages.told(message));
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

    /** Runs this, and adds an error for each payload that the server counts as invalid and does not log. */
    void countingErrors(Runnable passing) {
        long before = metrics.meter("invalidMessages").getCount();
        logged = 0;
        passing.run();
        for (long silent = metrics.meter("invalidMessages").getCount() - before - logged; silent > 0; silent--) {
            addError("counted as invalid");
        }
    }

    private void addError(String text) {
        errors.addObject().put("text", text);
    }

    void addEvents() {
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
