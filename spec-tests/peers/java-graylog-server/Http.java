import com.codahale.metrics.MetricRegistry;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.graylog2.configuration.TLSProtocolsConfiguration;
import org.graylog2.inputs.codecs.GelfChunkAggregator;
import org.graylog2.inputs.codecs.GelfCodec;
import org.graylog2.inputs.codecs.gelf.GELFBulkDroppedMsgService;
import org.graylog2.inputs.diagnosis.InputDiagnosisMetrics;
import org.graylog2.inputs.transports.HttpTransport;
import org.graylog2.inputs.transports.NettyTransportConfiguration;
import org.graylog2.inputs.transports.netty.EventLoopGroupFactory;
import org.graylog2.plugin.LocalMetricRegistry;
import org.graylog2.plugin.configuration.Configuration;
import org.graylog2.plugin.inputs.util.ThroughputCounter;

/** The HTTP input of a Graylog server, for the HTTP vectors: its transport and its codec, without the journal. */
public final class Http {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("hello")) {
            ObjectNode hello = GelfSubject.hello(
                    "Graylog", GelfSubject.versionOf(GelfCodec.class, "org.graylog2", "graylog2-server"));
            hello.remove("can");
            hello.putArray("setups").add("plain").add("header").add("bulk");
            System.out.println(hello);
            return;
        }
        // With one thread, messages are printed in the order of their requests.
        Map<String, Object> settings = new HashMap<>(Map.of("number_worker_threads", 1));
        for (Iterator<String> rest = List.of(arguments).iterator(); rest.hasNext(); ) {
            String option = rest.next();
            switch (option) {
                case "--bulk" -> settings.put("enable_bulk_receiving", true);
                case "--header" -> {
                    String[] header = rest.next().split(": ", 2);
                    settings.put("authorization_header_name", header[0]);
                    settings.put("authorization_header_value", header[1]);
                }
                default -> {
                    settings.put("bind_address", option.split(":")[0]);
                    settings.put("port", Integer.parseInt(option.split(":")[1]));
                }
            }
        }
        NettyTransportConfiguration netty = new NettyTransportConfiguration("nio", "jdk", 1);
        EventLoopGroup loops = new NioEventLoopGroup(1);
        LocalMetricRegistry local = new LocalMetricRegistry();
        MetricRegistry metrics = new MetricRegistry();
        Configuration configuration = new Configuration(settings);
        HttpTransport transport = new HttpTransport(configuration, loops, new EventLoopGroupFactory(netty), netty,
                new ThroughputCounter(loops), local, new TLSProtocolsConfiguration());
        GelfCodec codec = new GelfCodec(configuration, (GelfChunkAggregator) null, Messages.FACTORY,
                new GELFBulkDroppedMsgService(new InputDiagnosisMetrics(metrics)));
        transport.launch(new HttpInput(metrics, configuration, transport, local, codec), null);
        Thread.currentThread().join();
    }
}
