//! Which process is to have which partition: the same answer in every process that sees the same ones alive.

use std::collections::HashMap;
use weir_schema::{At, GroupName};
use xxhash_rust::xxh3::xxh3_64;

/// Gives each of the partitions of one topic to one of `nodes`: the one that its name and the partition's hash highest
/// together, among those that have not got their share yet. So few partitions move when a node comes or goes, and none
/// gets more than a share. Nodes: ascending; none: nobody gets anything.
pub(super) fn place(group: &GroupName, partitions: &[At], nodes: &[i32]) -> HashMap<At, i32> {
    let share = partitions.len().div_ceil(nodes.len().max(1));
    let mut given: HashMap<i32, usize> = HashMap::new();
    let mut places = HashMap::new();
    for at in partitions {
        let free = nodes.iter().filter(|node| given.get(node).is_none_or(|count| *count < share));
        if let Some(node) = free.max_by_key(|node| weight(group, *at, **node)) {
            *given.entry(*node).or_default() += 1;
            places.insert(*at, *node);
        }
    }
    places
}

fn weight(group: &GroupName, at: At, node: i32) -> u64 {
    let mut bytes = group.as_str().as_bytes().to_vec();
    bytes.push(0);
    for number in [at.topic.0, at.partition, node.cast_unsigned()] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::TopicId;

    fn partitions(count: u32) -> Vec<At> {
        (0..count).map(|partition| At { topic: TopicId(3), partition }).collect()
    }

    fn group() -> GroupName {
        GroupName::new("orders/count").expect("valid")
    }

    #[test]
    fn every_partition_has_a_node_and_no_node_more_than_its_share() {
        for (count, nodes, share) in
            [(16, vec![1, 2, 3], 6), (1, vec![1, 2], 1), (5, vec![7], 5), (4, vec![1, 2, 3, 4], 1)]
        {
            let places = place(&group(), &partitions(count), &nodes);
            assert_eq!(places.len(), count as usize);
            for node in nodes {
                assert!(places.values().filter(|n| **n == node).count() <= share);
            }
        }
        assert!(place(&group(), &partitions(3), &[]).is_empty());
    }

    #[test]
    fn most_partitions_stay_when_a_node_comes() {
        let (two, three) =
            (place(&group(), &partitions(60), &[1, 2]), place(&group(), &partitions(60), &[1, 2, 3]));
        let moved = two.iter().filter(|(at, node)| three[at] != **node).count();
        assert!((20..=40).contains(&moved), "{moved} of 60 moved");
    }
}
