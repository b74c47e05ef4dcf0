//! Exactly so many slots move as were asked for.

use super::scene::Scene;
use testservers::any_engine;

#[test]
fn fifteen_slots_of_ten_primaries_are_exactly_fifteen() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::new(&engine, 11, 11, 100);
    let before = scene.slots(10).len();
    let (entry, to) = (scene.address(0), scene.id(10));
    scene.tribune(&format!("reshard {entry} --from all --to {to} --slots 15 --yes")).succeeded();
    assert_eq!(scene.slots(10).len(), before + 15);
    let lost = (0..10).map(|node| 16384 / 11 + 1 - scene.slots(node).len()).collect::<Vec<_>>();
    assert!(lost.iter().all(|lost| (1..=3).contains(lost)), "each gives its part: {lost:?}");
    scene.tribune(&format!("reshard {entry} --from {} --to {to} --slots 3 --yes", scene.id(3))).succeeded();
    assert_eq!(scene.slots(10).len(), before + 18);
    let words = format!("reshard {entry} --cluster-from all --cluster-to {to} --cluster-slots 15 --cluster-yes");
    scene.tribune(&format!("--cluster {words}")).succeeded();
    assert_eq!(scene.slots(10).len(), before + 33);
    scene.assert_whole();
}
