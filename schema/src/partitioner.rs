//! Which partition a key belongs to, by the rules of the two Kafka client families.

/// How keys are placed. Fixed at a topic's creation and stored with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partitioner {
    /// As Kafka's Java clients (`Utils.murmur2`, then the sign bit cleared).
    #[default]
    Murmur2,
    /// As librdkafka's default (`consistent_random`: CRC-32 of the key), and so Spacer's.
    Crc32,
}

impl Partitioner {
    /// The partition of `key` among `partitions` (at least 1).
    #[must_use]
    pub fn partition(self, key: &[u8], partitions: u32) -> u32 {
        let hash = match self {
            Self::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Self::Crc32 => crc32fast::hash(key),
        };
        hash % partitions.max(1)
    }
}

/// Kafka's 32-bit murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`), with its seed.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_kafkas_published_vectors() {
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    /// The check value of CRC-32/ISO-HDLC, which librdkafka's `rd_crc32` computes.
    #[test]
    fn crc32_agrees_with_the_published_check_value() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        assert_eq!(Partitioner::Crc32.partition(b"123456789", 1000), 0xcbf4_3926 % 1000);
    }

    #[test]
    fn every_key_has_a_partition_that_exists() {
        for partitions in [1, 2, 3, 7] {
            for key in [&b""[..], b"a", b"\xff\xff\xff\xff\xff"] {
                assert!(Partitioner::Murmur2.partition(key, partitions) < partitions);
                assert!(Partitioner::Crc32.partition(key, partitions) < partitions);
            }
        }
    }
}
