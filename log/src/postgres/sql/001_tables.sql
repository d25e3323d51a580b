-- Rows that many commits change (partitions, positions, lanes) have room on their page, and no index on a column that
-- changes, so that their new versions stay on it. Names compare by bytes.
CREATE TABLE meta(name text COLLATE "C" PRIMARY KEY, value bigint NOT NULL);
INSERT INTO meta VALUES ('catalog', 0), ('control', 0), ('writers', 0), ('epochs', 0);

CREATE TABLE owner(app text NOT NULL);
COMMENT ON TABLE owner IS 'The application that this log belongs to: one row at most.';

-- What each commit changes (lanes, tails) is a new row beside the old one, which goes: the number that grows is in the
-- key, and the row with the greatest is so. A row that is updated in place leaves a version that whoever looks for it
-- has to pass, for as long as a transaction is open somewhere that could still see it.

-- The number and the result of the last batch of each writer, so that one that is sent again tells what it came to.
CREATE TABLE lanes(
  writer int NOT NULL, batch bigint NOT NULL, applied boolean NOT NULL DEFAULT false, tails bigint[], bases bigint[],
  PRIMARY KEY (writer, batch))
  WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE topics(
  id int PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, partitions int NOT NULL, partitioner text NOT NULL,
  retention_ms bigint);

-- Who appends locks the partition's row, and leaves it as it is.
CREATE TABLE partitions(
  topic int NOT NULL, part int NOT NULL, earliest bigint NOT NULL DEFAULT 0, removed bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, part))
  WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE tails(
  topic int NOT NULL, part int NOT NULL, tail bigint NOT NULL DEFAULT 0, last_ts bigint NOT NULL DEFAULT 0,
  appended bigint NOT NULL DEFAULT 0, PRIMARY KEY (topic, part, tail))
  WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE VIEW partition_now AS
  SELECT p.topic, p.part, p.earliest, t.tail, t.last_ts, t.appended - p.removed AS bytes
  FROM partitions p, LATERAL (
    SELECT * FROM tails t WHERE t.topic = p.topic AND t.part = p.part ORDER BY t.tail DESC LIMIT 1) t;

CREATE TABLE events(
  topic int NOT NULL, part int NOT NULL, off bigint NOT NULL, ts bigint NOT NULL, key bytea, value bytea,
  headers bytea NOT NULL, PRIMARY KEY (topic, part, off));

CREATE TABLE tables(id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);

-- A value that is a counter stands in a column of its own; what is read back is the same bytes, because only canonical
-- decimals are counters.
CREATE TABLE rows(
  tbl int NOT NULL, gen int NOT NULL, key bytea NOT NULL, value bytea, counter bigint, stamp bigint NOT NULL,
  expires bigint, PRIMARY KEY (tbl, gen, key))
  WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE positions(
  name text COLLATE "C" NOT NULL, topic int NOT NULL, part int NOT NULL, position bigint NOT NULL,
  epoch bigint NOT NULL DEFAULT 0, incarnation int NOT NULL DEFAULT 0, unclean int NOT NULL DEFAULT 0,
  owned boolean NOT NULL DEFAULT false, node int, PRIMARY KEY (name, topic, part))
  WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE nodes(node int PRIMARY KEY, until timestamptz NOT NULL) WITH (fillfactor = 20);
COMMENT ON TABLE nodes IS 'One row per process that takes part in groups, renewed every second; past its time the process counts as dead.';

CREATE TABLE members(
  name text COLLATE "C" NOT NULL, topic int NOT NULL, node int NOT NULL, PRIMARY KEY (name, topic, node));
COMMENT ON TABLE members IS 'Which processes want partitions of a topic for a group.';

-- Bytes as people read them.
CREATE FUNCTION weir_text(bytes_ bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN convert_from(bytes_, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  RETURN encode(bytes_, 'escape');
END $$;

CREATE VIEW event_view AS
  SELECT t.name AS topic, e.part AS partition, e.off AS "offset", to_timestamp(e.ts / 1000.0) AS time,
    weir_text(e.key) AS key, weir_text(e.value) AS value, e.headers
  FROM events e JOIN topics t ON t.id = e.topic;
CREATE VIEW state_view AS
  SELECT t.name AS "table", r.gen AS generation, weir_text(r.key) AS key,
    coalesce(weir_text(r.value), r.counter::text) AS value, to_timestamp(r.expires / 1000.0) AS expires
  FROM rows r JOIN tables t ON t.id = r.tbl;
CREATE VIEW position_view AS
  SELECT g.name AS "group", t.name AS topic, g.part AS partition, g.position, p.tail - g.position AS lag, g.epoch,
    g.incarnation, g.unclean, g.owned, g.node
  FROM positions g JOIN topics t ON t.id = g.topic JOIN partition_now p ON p.topic = g.topic AND p.part = g.part;
COMMENT ON TABLE meta IS 'Counters: versions of the schema, the catalog and control entries, the last number of a writer and of an epoch.';
COMMENT ON TABLE lanes IS 'The number and the result of the last batch of each process, so that one that is sent again tells what it came to.';
COMMENT ON TABLE topics IS 'Topics as they were created; retention_ms is none where events are kept for good.';
COMMENT ON TABLE partitions IS 'Of each partition the first offset that is kept, and how many bytes of events have been removed.';
COMMENT ON TABLE tails IS 'Of each partition the next offset, the last time (ms), and how many bytes were ever appended: the row with the greatest tail.';
COMMENT ON VIEW partition_now IS 'Partitions as they are now.';
COMMENT ON TABLE events IS 'The events, by partition in the order of their offsets; ts is in ms, headers are in a form of Weir''s own.';
COMMENT ON TABLE tables IS 'Names of the tables of state.';
COMMENT ON TABLE rows IS 'Rows of state, by table and generation. stamp names the attempt that wrote the row; expires is in ms.';
COMMENT ON TABLE positions IS 'Of each group and partition the next offset, the epoch that may move it, and the process that has it.';
COMMENT ON VIEW event_view IS 'Events as text; bytes that are no UTF-8 are escaped.';
COMMENT ON VIEW state_view IS 'Rows of state as text; bytes that are no UTF-8 are escaped.';
COMMENT ON VIEW position_view IS 'Where each trigger stands, how far it is behind, and which process works on it.';

-- What a range of state holds, as one value that differs if a row of it was written, came or went.
CREATE FUNCTION weir_print(tbl_ int, gen_ int, from_ bytea, to_ bytea) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
DECLARE print bytea;
BEGIN
  -- two statements: with "to_ IS NULL OR key < to_" the index would not end the scan
  IF to_ IS NULL THEN
    SELECT string_agg(int4send(length(key)) || key || int8send(stamp), ''::bytea ORDER BY key) INTO print
      FROM rows WHERE tbl = tbl_ AND gen = gen_ AND key >= from_;
  ELSE
    SELECT string_agg(int4send(length(key)) || key || int8send(stamp), ''::bytea ORDER BY key) INTO print
      FROM rows WHERE tbl = tbl_ AND gen = gen_ AND key >= from_ AND key < to_;
  END IF;
  RETURN sha256(coalesce(print, ''));
END $$;

-- The first offset whose time is time_ or later; none: the tail. NULL if there is no such partition. Times never go
-- back within a partition, so half of what is left goes with every look. STABLE: all looks are at one snapshot.
CREATE FUNCTION weir_offset_at(topic_ int, part_ int, time_ bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE low bigint; high bigint; middle bigint; found_ts bigint;
BEGIN
  SELECT earliest, tail INTO low, high FROM partition_now WHERE topic = topic_ AND part = part_;
  WHILE low < high LOOP
    middle := low + (high - low) / 2;
    SELECT ts INTO found_ts FROM events WHERE topic = topic_ AND part = part_ AND off = middle;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'offset % of topic % partition % is missing', middle, topic_, part_ USING ERRCODE = 'XX001';
    END IF;
    IF found_ts < time_ THEN low := middle + 1; ELSE high := middle; END IF;
  END LOOP;
  RETURN low;
END $$;
