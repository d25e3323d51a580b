-- One batch, checked and applied, or refused as a whole with what is so instead.
--
-- To be called outside of a transaction block: then each statement in here sees what was committed before it began, so
-- that what is checked after the locks were waited for is current, and no lock is held while the server waits for the
-- network. Every caller takes the locks in this order: its lane, tables, keys, groups, partitions.
CREATE FUNCTION weir_commit(
  -- catalog_: the version that must be so (NULL: any)
  lane int, number_ bigint, now_ bigint, space int, catalog_ bigint, raise_catalog bigint, raise_control bigint,
  -- advisory locks, ascending: tables (0 is the catalog) shared or whole, hashes of keys
  lock_tables int[], lock_whole boolean[], lock_keys bigint[],
  -- groups, ascending: the epoch, where the position must be (NULL: anywhere), where it goes (NULL: nowhere), how often back
  g_name text[], g_topic int[], g_part int[], g_epoch bigint[], g_from bigint[], g_to bigint[], g_back int[],
  -- rows that must have this stamp (NULL: be absent)
  r_tbl int[], r_gen int[], r_key bytea[], r_stamp bigint[],
  -- ranges that must have this print
  q_tbl int[], q_gen int[], q_from bytea[], q_to bytea[], q_print bytea[],
  -- counters that must be within low and high, and grow by this (NULL: are overwritten)
  a_tbl int[], a_gen int[], a_key bytea[], a_low bigint[], a_high bigint[], a_by bigint[], a_stamp bigint[],
  -- rows that become this
  w_tbl int[], w_gen int[], w_key bytea[], w_value bytea[], w_counter bigint[], w_stamp bigint[], w_expires bigint[],
  -- rows that go
  d_tbl int[], d_gen int[], d_key bytea[],
  -- partitions, ascending: how many events and bytes they get
  p_topic int[], p_part int[], p_count bigint[], p_bytes bigint[],
  -- events: their partition's index in the above, from 1, and their place in the batch there, from 0. Of a batch for one
  -- partition these two are left out: its events are in order
  e_slot int[], e_rel bigint[], e_key bytea[], e_value bytea[], e_headers bytea[],
  -- whether this call, or one before it with this number, applied the batch; if so the tails that the partitions had and
  -- what the counters were. The rest is told of this call only: versions as they are now, and if it was refused what is so
  OUT applied boolean, OUT tails bigint[], OUT bases bigint[], OUT catalog_now bigint, OUT control_now bigint,
  OUT epochs bigint[], OUT positions_now bigint[], OUT stale bigint[], OUT stamps bigint[], OUT stale_ranges bigint[]
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE last_ bigint; t int; whole boolean; times bigint[]; sizes bigint[]; old tid[];
  topic_ int; part_ int; before_ bigint; time_ bigint;
BEGIN
  -- a lane's lock stands below those of tables
  PERFORM pg_advisory_xact_lock(space, -lane);
  SELECT l.batch, l.applied, l.tails, l.bases INTO last_, applied, tails, bases
    FROM lanes l WHERE l.writer = lane ORDER BY l.batch DESC LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the writer % is not known here', lane USING ERRCODE = 'WR001';
  ELSIF last_ = number_ THEN
    RETURN;
  ELSIF last_ > number_ THEN
    RAISE EXCEPTION 'batch % of writer % comes after batch %', number_, lane, last_ USING ERRCODE = 'WR002';
  END IF;

  FOR t, whole IN SELECT * FROM unnest(lock_tables, lock_whole) LOOP
    IF whole THEN PERFORM pg_advisory_xact_lock(space, t); ELSE PERFORM pg_advisory_xact_lock_shared(space, t); END IF;
  END LOOP;
  IF cardinality(lock_keys) > 0 THEN
    PERFORM pg_advisory_xact_lock(h) FROM unnest(lock_keys) h;
  END IF;
  IF cardinality(g_name) > 0 THEN
    PERFORM 1 FROM positions WHERE (name, topic, part) IN (SELECT * FROM unnest(g_name, g_topic, g_part))
      ORDER BY name, topic, part FOR NO KEY UPDATE;
    SELECT array_agg(p.epoch ORDER BY u.i), array_agg(p.position ORDER BY u.i) INTO epochs, positions_now
      FROM unnest(g_name, g_topic, g_part) WITH ORDINALITY u(n, t, p, i)
      LEFT JOIN positions p ON p.name = u.n AND p.topic = u.t AND p.part = u.p;
  END IF;
  IF cardinality(p_topic) > 0 THEN
    PERFORM 1 FROM partitions WHERE (topic, part) IN (SELECT * FROM unnest(p_topic, p_part))
      ORDER BY topic, part FOR NO KEY UPDATE;
  END IF;

  SELECT value INTO catalog_now FROM meta WHERE name = 'catalog';
  applied := catalog_now = coalesce(catalog_, catalog_now) AND NOT EXISTS (
    SELECT FROM unnest(g_epoch, g_from, epochs, positions_now) u(e, f, e_now, p_now)
    WHERE e IS DISTINCT FROM e_now OR f <> p_now);
  IF cardinality(r_tbl) > 0 THEN
    SELECT array_agg(u.i ORDER BY u.i), array_agg(r.stamp ORDER BY u.i) INTO stale, stamps
      FROM unnest(r_tbl, r_gen, r_key, r_stamp) WITH ORDINALITY u(t, g, k, s, i)
      LEFT JOIN rows r ON r.tbl = u.t AND r.gen = u.g AND r.key = u.k
      WHERE r.stamp IS DISTINCT FROM u.s;
    applied := applied AND stale IS NULL;
  END IF;
  IF cardinality(q_tbl) > 0 THEN
    SELECT array_agg(u.i) INTO stale_ranges
      FROM unnest(q_tbl, q_gen, q_from, q_to, q_print) WITH ORDINALITY u(t, g, f, e, p, i)
      WHERE weir_print(u.t, u.g, u.f, u.e) <> u.p;
    applied := applied AND stale_ranges IS NULL;
  END IF;
  bases := NULL;
  IF cardinality(a_tbl) > 0 THEN
    -- a row that has expired counts as absent, an absent one as 0, and what is no counter as NULL
    SELECT array_agg(CASE WHEN r.tbl IS NULL THEN 0 ELSE r.counter END ORDER BY u.i) INTO bases
      FROM unnest(a_tbl, a_gen, a_key) WITH ORDINALITY u(t, g, k, i)
      LEFT JOIN rows r ON r.tbl = u.t AND r.gen = u.g AND r.key = u.k AND (r.expires IS NULL OR r.expires > now_);
    applied := applied AND NOT EXISTS (
      SELECT FROM unnest(bases, a_low, a_high) u(base, low, high)
      WHERE base IS NULL OR base + low <= -(1::bigint << 53) OR base + high >= 1::bigint << 53);
  END IF;
  tails := NULL;

  IF applied THEN
    IF cardinality(g_name) > 0 THEN
      UPDATE positions p SET position = u.t, incarnation = incarnation + u.b
        FROM unnest(g_name, g_topic, g_part, g_to, g_back) u(n, tp, pt, t, b)
        WHERE p.name = u.n AND p.topic = u.tp AND p.part = u.pt AND u.t IS NOT NULL;
    END IF;
    IF cardinality(d_tbl) > 0 THEN
      DELETE FROM rows r USING unnest(d_tbl, d_gen, d_key) u(t, g, k) WHERE r.tbl = u.t AND r.gen = u.g AND r.key = u.k;
    END IF;
    IF cardinality(w_tbl) > 0 THEN
      INSERT INTO rows(tbl, gen, key, value, counter, stamp, expires)
        SELECT * FROM unnest(w_tbl, w_gen, w_key, w_value, w_counter, w_stamp, w_expires)
        ON CONFLICT (tbl, gen, key) DO UPDATE SET value = excluded.value, counter = excluded.counter,
          stamp = excluded.stamp, expires = excluded.expires;
    END IF;
    IF cardinality(a_tbl) > 0 THEN
      INSERT INTO rows(tbl, gen, key, value, counter, stamp, expires)
        SELECT u.t, u.g, u.k, NULL, u.b + u.by, u.s, r.expires
        FROM unnest(a_tbl, a_gen, a_key, a_by, a_stamp, bases) u(t, g, k, by, s, b)
        LEFT JOIN rows r ON r.tbl = u.t AND r.gen = u.g AND r.key = u.k AND r.expires > now_
        WHERE u.by IS NOT NULL
        ON CONFLICT (tbl, gen, key) DO UPDATE SET value = NULL, counter = excluded.counter, stamp = excluded.stamp,
          expires = excluded.expires;
    END IF;
    IF cardinality(p_topic) > 0 THEN
      SELECT array_agg(n.tail ORDER BY u.i), array_agg(greatest(n.last_ts, now_) ORDER BY u.i),
          array_agg(n.appended ORDER BY u.i), array_agg(n.ctid) INTO tails, times, sizes, old
        FROM unnest(p_topic, p_part) WITH ORDINALITY u(t, p, i), LATERAL (
          SELECT *, ctid FROM tails n WHERE n.topic = u.t AND n.part = u.p ORDER BY n.tail DESC LIMIT 1) n;
      -- where they are: a join could be planned as going through all of the table, which has one row a partition to see
      DELETE FROM tails WHERE ctid = ANY(old);
      INSERT INTO tails SELECT u.t, u.p, u.b + u.n, u.ts, u.s + u.more
        FROM unnest(p_topic, p_part, tails, p_count, times, sizes, p_bytes) u(t, p, b, n, ts, s, more);
      IF cardinality(p_topic) = 1 THEN
        -- the same as below, but that nothing is looked up for each event
        topic_ := p_topic[1]; part_ := p_part[1]; before_ := tails[1] - 1; time_ := times[1];
        INSERT INTO events(topic, part, off, ts, key, value, headers)
          SELECT topic_, part_, before_ + u.n, time_, u.k, u.v, u.h
          FROM unnest(e_key, e_value, e_headers) WITH ORDINALITY u(k, v, h, n);
      ELSE
        INSERT INTO events(topic, part, off, ts, key, value, headers)
          SELECT p_topic[u.s], p_part[u.s], tails[u.s] + u.r, times[u.s], u.k, u.v, u.h
          FROM unnest(e_slot, e_rel, e_key, e_value, e_headers) u(s, r, k, v, h);
      END IF;
    END IF;
    IF raise_catalog > 0 THEN
      UPDATE meta SET value = value + raise_catalog WHERE name = 'catalog' RETURNING value INTO catalog_now;
    END IF;
    IF raise_control > 0 THEN
      UPDATE meta SET value = value + raise_control WHERE name = 'control' RETURNING value INTO control_now;
    END IF;
  END IF;
  -- a refusal too: else this call, delayed, could apply what another call with its number was refused
  INSERT INTO lanes VALUES (lane, number_, weir_commit.applied, weir_commit.tails, weir_commit.bases);
  DELETE FROM lanes l WHERE l.writer = lane AND l.batch = last_;
END $$;
