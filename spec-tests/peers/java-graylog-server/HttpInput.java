import com.codahale.metrics.MetricRegistry;
import org.graylog2.inputs.codecs.GelfCodec;
import org.graylog2.inputs.gelf.http.GELFHttpInput;
import org.graylog2.inputs.transports.HttpTransport;
import org.graylog2.plugin.LocalMetricRegistry;
import org.graylog2.plugin.Message;
import org.graylog2.plugin.configuration.Configuration;
import org.graylog2.plugin.inputs.MessageInput;
import org.graylog2.plugin.journal.RawMessage;

/** An input that prints its messages as observed lines, without the journal. */
final class HttpInput extends MessageInput {
    private final GelfCodec codec;

    HttpInput(MetricRegistry metrics, Configuration configuration, HttpTransport transport, LocalMetricRegistry local,
            GelfCodec codec) {
        super(metrics, configuration, transport, local, codec,
                new MessageInput.Config(new HttpTransport.Config(), new GelfCodec.Config()) {}, new GELFHttpInput.Descriptor(), null);
        this.codec = codec;
    }

    @Override
    public synchronized void processRawMessage(RawMessage raw) {
        try {
            Message message = codec.decodeSafe(raw).orElseThrow();
            if (message.isComplete()) {
                System.out.println(Messages.told(message));
                System.out.flush();
            }
        } catch (RuntimeException refused) {
            System.err.println(refused);
        }
    }

    @Override
    public String toIdentifier() {
        return "GELF";
    }
}
