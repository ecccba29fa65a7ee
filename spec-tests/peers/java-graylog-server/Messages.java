import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.inject.Guice;
import java.math.BigDecimal;
import java.util.HashMap;
import java.util.Map;
import org.graylog2.plugin.Message;
import org.graylog2.plugin.MessageBindings;
import org.graylog2.plugin.MessageFactory;
import org.joda.time.DateTimeUtils;

/** Messages of the server, as answers and observed lines have them. */
final class Messages {
    static final MessageFactory FACTORY = Guice.createInjector(new MessageBindings()).getInstance(MessageFactory.class);

    private static final ObjectMapper JSON = new ObjectMapper();

    private Messages() {}

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
}
