use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use weir_log::conformance::broker::Broker;
use weir_log::{Driver, KafkaOptions, LogConfig, SystemClock, TopicSpec};
use weir_schema::*;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let broker = Broker::fast().unwrap();
    let writers: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let rounds: u32 = std::env::args().nth(2).unwrap().parse().unwrap();
    let per: usize = std::env::args().nth(3).map_or(1, |n| n.parse().unwrap());
    for round in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let store = Driver::sqlite(folder.path().join("store.db"));
        let driver = Driver::Kafka(KafkaOptions::new(broker.brokers(), format!("p{round}"), store));
        let log = weir_log::open(LogConfig { driver, app: None, clock: Arc::new(SystemClock) }).await.unwrap();
        let name = TopicName::new("events").unwrap();
        let spec = TopicSpec { name, partitions: 4, partitioner: Partitioner::Murmur2, retention: None };
        let topic = log.create_topic(&spec).await.unwrap().id;
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        let begun = Instant::now();
        for writer in 0..writers {
            let (log, stop, next) = (log.clone(), stop.clone(), next.clone());
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    let mut b = RecordsBuilder::with_capacity(1, 300);
                    for _ in 0..per {
                        b.push(At { topic, partition: (writer % 4) as u32 }, Some(b"key-000000"), Some(&[b'7'; 248]), []);
                    }
                    let mut t = Transaction::new(TxnId(id | 7 << 50), log.watch().borrow().catalog);
                    t.appends.push(b.build());
                    let at = Instant::now();
                    log.commit(Arc::new(t)).await.unwrap();
                    times.push(at.elapsed().as_secs_f64() * 1e3);
                }
                times
            }));
        }
        tokio::time::sleep(Duration::from_millis(3000)).await;
        stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in tasks { all.extend(task.await.unwrap()); }
        let secs = begun.elapsed().as_secs_f64();
        all.sort_by(f64::total_cmp);
        println!("{writers} writers: {:.0}/s p50 {:.2} p99 {:.2}", all.len() as f64 / secs * per as f64, all[all.len()/2], all[all.len()*99/100]);
        log.close().await.unwrap();
    }
}
