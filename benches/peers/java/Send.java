import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import de.siegmar.logbackgelf.GelfEncoder;
import de.siegmar.logbackgelf.GelfUdpAppender;
import java.io.File;
import org.slf4j.LoggerFactory;

/** Sends messages over UDP to the loopback with logback-gelf: Send PORT COUNT MESSAGES.json */
public final class Send {
    public static void main(String[] arguments) throws Exception {
        JsonNode content = new ObjectMapper().readTree(new File(arguments[2]));
        LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
        context.reset();
        GelfEncoder encoder = new GelfEncoder();
        encoder.setContext(context);
        encoder.setOriginHost(content.get("host").asText());
        var fields = content.get("fields").fields();
        fields.forEachRemaining(one -> encoder.addStaticField(one.getKey(), one.getValue().asText()));
        encoder.start();
        GelfUdpAppender appender = new GelfUdpAppender();
        appender.setContext(context);
        appender.setEncoder(encoder);
        appender.setGraylogHost("127.0.0.1");
        appender.setGraylogPort(Integer.parseInt(arguments[0]));
        appender.start();
        Logger logger = context.getLogger("sender");
        logger.addAppender(appender);
        JsonNode lines = content.get("lines");
        int count = Integer.parseInt(arguments[1]);
        for (int sent = 0; sent < count; sent++) {
            logger.info(lines.get(sent % lines.size()).asText());
        }
        appender.stop();
    }
}
