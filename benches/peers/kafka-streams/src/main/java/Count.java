import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Counts the events of each key and appends each count with the event's id, exactly once: what the benches' function does.
 * Arguments: brokers, application, topic of the events, topic of the counts, folder of the state.
 */
public final class Count {
  private static final String SEEN = "seen";

  private static final class Counter extends ContextualProcessor<String, byte[], String, byte[]> {
    private final ObjectMapper json = new ObjectMapper();
    private KeyValueStore<String, Long> seen;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      super.init(context);
      seen = context.getStateStore(SEEN);
    }

    @Override
    public void process(Record<String, byte[]> event) {
      try {
        Long before = seen.get(event.key());
        long n = before == null ? 1 : before + 1;
        seen.put(event.key(), n);
        var counted = json.createObjectNode().put("n", n).put("id", json.readTree(event.value()).get("id").asLong());
        context().forward(event.withValue(json.writeValueAsBytes(counted)));
      } catch (java.io.IOException broken) {
        throw new java.io.UncheckedIOException(broken);
      }
    }
  }

  public static void main(String[] arguments) {
    var settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    var builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(SEEN), Serdes.String(), Serdes.Long()));
    builder.stream(arguments[2], Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .process(Counter::new, SEEN)
        .to(arguments[3], Produced.with(Serdes.String(), Serdes.ByteArray()));
    var streams = new KafkaStreams(builder.build(), settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
