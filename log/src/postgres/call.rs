//! The call of `weir_commit` (sql/001_commit.sql): a plan in columns.

use super::answer::Answer;
use super::error::Failure;
use super::facts::Facts;
use super::plan::{Plan, Row};
use super::schema::Seat;
use super::topics::{signed, signed_offset};
use deadpool_postgres::Client;
use std::collections::{BTreeMap, HashMap};
use tokio_postgres::types::ToSql;
use weir_schema::{Millis, StateKey, TableName, counter};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Past so many keys of a table the whole of it is locked: key locks live in the server's shared memory.
const KEY_LOCKS: usize = 1000;
/// The number that stands for the catalog among those of tables, which begin at 1.
const CATALOG: i32 = 0;
/// How many parameters the function has.
const PARAMETERS: usize = 52;

const SQL: &str = "SELECT * FROM weir_commit($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,\
    $22,$23,$24,$25,$26,$27,$28,$29,$30,$31,$32,$33,$34,$35,$36,$37,$38,$39,$40,$41,$42,$43,$44,$45,$46,$47,$48,$49,\
    $50,$51,$52)";

/// Rows named by columns.
#[derive(Default)]
struct Keys<'a> {
    tables: Vec<i32>,
    generations: Vec<i32>,
    keys: Vec<&'a [u8]>,
}

/// The parameters. What a column means is said at the function.
#[derive(Default)]
pub(super) struct Call<'a> {
    lane: i32,
    now: i64,
    space: i32,
    catalog: Option<i64>,
    raises: (i64, i64),
    locks: Locks,
    groups: Vec<&'a str>,
    group_at: (Vec<i32>, Vec<i32>),
    epochs: Vec<i64>,
    from: Vec<Option<i64>>,
    to: Vec<Option<i64>>,
    back: Vec<i32>,
    reads: Keys<'a>,
    seen: Vec<Option<i64>>,
    ranges: Keys<'a>,
    range_ends: Vec<Option<&'a [u8]>>,
    prints: Vec<&'a [u8]>,
    counters: Keys<'a>,
    reach: (Vec<i64>, Vec<i64>),
    grow: Vec<Option<i64>>,
    grow_stamps: Vec<i64>,
    puts: Keys<'a>,
    values: Vec<Option<&'a [u8]>>,
    numbers: Vec<Option<i64>>,
    put_stamps: Vec<i64>,
    expires: Vec<Option<i64>>,
    gone: Keys<'a>,
    partitions: (Vec<i32>, Vec<i32>),
    growth: (Vec<i64>, Vec<i64>),
    slots: Vec<i32>,
    places: Vec<i64>,
    event_keys: Vec<Option<&'a [u8]>>,
    event_values: Vec<Option<&'a [u8]>>,
    headers: Vec<&'a [u8]>,
}

/// Advisory locks, ascending.
#[derive(Default)]
struct Locks {
    tables: Vec<i32>,
    whole: Vec<bool>,
    keys: Vec<i64>,
}

impl<'a> Keys<'a> {
    fn push(&mut self, key: &'a StateKey, tables: &HashMap<TableName, i32>) {
        self.push_as(&key.table, key.generation, &key.key, tables);
    }

    fn push_as(
        &mut self,
        table: &TableName,
        generation: u32,
        key: &'a [u8],
        tables: &HashMap<TableName, i32>,
    ) {
        self.tables.push(tables[table]);
        self.generations.push(generation.cast_signed());
        self.keys.push(key);
    }
}

impl<'a> Call<'a> {
    /// `plan` in columns. `tables` has the number of every table in it.
    pub(super) fn new(
        plan: &'a Plan<'a>,
        facts: &'a Facts,
        seat: Seat,
        now: Millis,
        tables: &HashMap<TableName, i32>,
    ) -> Self {
        let mut call = Self::empty(seat);
        call.now = now.0;
        call.catalog = plan.catalog.map(|version| version.0.cast_signed());
        call.raises = (plan.raise_catalog.cast_signed(), plan.raise_control.cast_signed());
        call.locks = Locks::new(plan, seat, tables);
        call.put_groups(plan);
        call.put_claims(plan, facts, tables);
        call.put_rows(plan, tables);
        call.put_events(plan);
        call
    }

    /// A call that is refused, whatever the log holds; but it takes its number, so that a late call with the same one
    /// does nothing any more.
    pub(super) fn empty(seat: Seat) -> Self {
        Self { lane: seat.writer.0.cast_signed(), space: seat.space, catalog: Some(-1), ..Self::default() }
    }

    /// Locks whole tables instead of keys.
    pub(super) fn lock_whole(&mut self) {
        self.locks.whole.iter_mut().zip(&self.locks.tables).for_each(|(whole, t)| *whole |= *t != CATALOG);
        self.locks.keys.clear();
    }

    fn put_groups(&mut self, plan: &Plan<'a>) {
        for ((group, at), standing) in &plan.groups {
            self.groups.push(group.as_str());
            self.group_at.0.push(signed(at.topic.0));
            self.group_at.1.push(signed(at.partition));
            self.epochs.push(standing.epoch.0.cast_signed());
            self.from.push(standing.from.map(signed_offset));
            self.to.push(standing.to.map(signed_offset));
            self.back.push(standing.back.cast_signed());
        }
    }

    fn put_claims(&mut self, plan: &Plan<'a>, facts: &'a Facts, tables: &HashMap<TableName, i32>) {
        for (key, seen) in &plan.reads {
            self.reads.push(key, tables);
            self.seen.push(seen.map(|stamp| stamp.0.cast_signed()));
        }
        for range in &plan.ranges {
            self.ranges.push_as(&range.table, range.generation, &range.from, tables);
            self.range_ends.push(range.to.as_deref());
            self.prints.push(&facts.ranges[*range].print);
        }
        for (key, reach) in &plan.counters {
            self.counters.push(key, tables);
            self.reach.0.push(reach.low);
            self.reach.1.push(reach.high);
            let grown = match plan.rows.get(key) {
                Some(Row::Grown { by, stamp }) => Some((*by, stamp.0.cast_signed())),
                Some(Row::Put { .. } | Row::Gone) | None => None,
            };
            self.grow.push(grown.map(|(by, _)| by));
            self.grow_stamps.push(grown.map_or(0, |(_, stamp)| stamp));
        }
    }

    fn put_rows(&mut self, plan: &'a Plan<'a>, tables: &HashMap<TableName, i32>) {
        for (key, row) in &plan.rows {
            match row {
                Row::Put { value, stamp, expires } => {
                    let number = counter(value);
                    self.puts.push(key, tables);
                    self.values.push(number.is_none().then_some(&**value));
                    self.numbers.push(number);
                    self.put_stamps.push(stamp.0.cast_signed());
                    self.expires.push(expires.map(|e| e.0));
                }
                Row::Gone => self.gone.push(key, tables),
                // among the counters
                Row::Grown { .. } => {}
            }
        }
    }

    fn put_events(&mut self, plan: &'a Plan<'a>) {
        let mut slots = BTreeMap::new();
        for (slot, (at, growth)) in (1..).zip(&plan.partitions) {
            slots.insert(*at, slot);
            self.partitions.0.push(signed(at.topic.0));
            self.partitions.1.push(signed(at.partition));
            self.growth.0.push(growth.events.cast_signed());
            self.growth.1.push(growth.bytes.cast_signed());
        }
        let is_divided = slots.len() > 1;
        for (event, place) in &plan.events {
            if is_divided {
                self.slots.push(slots[&event.meta.at]);
                self.places.push(place.cast_signed());
            }
            self.event_keys.push(event.key());
            self.event_values.push(event.value());
            self.headers.push(event.headers_encoded());
        }
    }

    /// Makes the call, under `number`.
    pub(super) async fn run(&self, client: &Client, number: u64) -> Result<Answer, Failure> {
        let statement = client.prepare_cached(SQL).await?;
        let number = number.cast_signed();
        let row = client.query_one(&statement, &self.parameters(&number)).await?;
        Ok(Answer::read(&row))
    }

    #[rustfmt::skip]
    fn parameters<'c>(&'c self, number: &'c i64) -> [&'c (dyn ToSql + Sync); PARAMETERS] {
        [
            &self.lane, number, &self.now, &self.space, &self.catalog, &self.raises.0, &self.raises.1,
            &self.locks.tables, &self.locks.whole, &self.locks.keys,
            &self.groups, &self.group_at.0, &self.group_at.1, &self.epochs, &self.from, &self.to, &self.back,
            &self.reads.tables, &self.reads.generations, &self.reads.keys, &self.seen,
            &self.ranges.tables, &self.ranges.generations, &self.ranges.keys, &self.range_ends, &self.prints,
            &self.counters.tables, &self.counters.generations, &self.counters.keys, &self.reach.0, &self.reach.1,
            &self.grow, &self.grow_stamps,
            &self.puts.tables, &self.puts.generations, &self.puts.keys, &self.values, &self.numbers,
            &self.put_stamps, &self.expires,
            &self.gone.tables, &self.gone.generations, &self.gone.keys,
            &self.partitions.0, &self.partitions.1, &self.growth.0, &self.growth.1,
            &self.slots, &self.places, &self.event_keys, &self.event_values, &self.headers,
        ]
    }
}

impl Locks {
    fn new(plan: &Plan<'_>, seat: Seat, numbers: &HashMap<TableName, i32>) -> Self {
        let mut tables = BTreeMap::from([(CATALOG, plan.raise_catalog > 0)]);
        let mut counts: HashMap<i32, usize> = HashMap::new();
        let keys = || plan.reads.keys().chain(plan.rows.keys()).chain(plan.counters.keys());
        for key in keys() {
            let count = counts.entry(numbers[&key.table]).or_default();
            *count += 1;
            *tables.entry(numbers[&key.table]).or_default() |= *count > KEY_LOCKS;
        }
        for range in &plan.ranges {
            tables.insert(numbers[&range.table], true);
        }
        let in_parts = keys().filter(|key| !tables[&numbers[&key.table]]);
        let mut hashes: Vec<_> = in_parts.map(|key| hash(seat, numbers[&key.table], key)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let (tables, whole) = tables.into_iter().unzip();
        Self { tables, whole, keys: hashes }
    }
}

/// The number of a key's lock. Two keys that have the same one only wait for each other.
fn hash(seat: Seat, table: i32, key: &StateKey) -> i64 {
    let place = u64::from(table.cast_unsigned()) << 32 | u64::from(key.generation);
    let space = u64::from(seat.space.cast_unsigned());
    xxh3_64_with_seed(&key.key, place.rotate_left(17) ^ space.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .cast_signed()
}
