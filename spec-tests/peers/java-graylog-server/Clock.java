import java.math.BigDecimal;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.joda.time.DateTimeUtils;

/** The server's clock and scheduler, by the times of a request. It runs the aggregator's task of every second. */
final class Clock extends ScheduledThreadPoolExecutor {
    /** Start time of a request in milliseconds; no vector uses it as a timestamp. */
    private static final long BEGIN = 3_000_000_000_321L;

    private Runnable task;
    private long next;
    private long period;

    Clock() {
        super(0);
        DateTimeUtils.setCurrentMillisFixed(BEGIN);
    }

    @Override
    public ScheduledFuture<?> scheduleAtFixedRate(Runnable command, long delay, long interval, TimeUnit unit) {
        task = command;
        next = BEGIN + unit.toMillis(delay);
        period = unit.toMillis(interval);
        return null;
    }

    void advanceTo(BigDecimal seconds) {
        long now = BEGIN + seconds.movePointRight(3).longValue();
        for (; next <= now; next += period) {
            DateTimeUtils.setCurrentMillisFixed(next);
            task.run();
        }
        DateTimeUtils.setCurrentMillisFixed(now);
    }
}
