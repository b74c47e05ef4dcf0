//! Which replica goes to which primary.

use super::model::Model;

#[test]
fn replicas_are_dealt_so_that_none_is_beside_its_primary_where_that_can_be() {
    for (shards, replicas, hosts) in [(3, 1, 3), (3, 2, 3), (5, 1, 3), (4, 1, 2), (7, 2, 5)] {
        let mut model = Model::new(shards, replicas, hosts);
        model.settle(40);
        for (at, node) in &model.nodes {
            let Some(primary) = node.primary else { continue };
            assert_ne!(at % hosts, primary % hosts, "{at} follows {primary} on {hosts} hosts\n{model:#?}");
        }
    }
}
