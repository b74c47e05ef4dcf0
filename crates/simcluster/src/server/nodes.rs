//! The nodes that a server knows, in the order of their ids.

use super::Known;
use topology::NodeId;

/// Like a map; but servers know few nodes and look for them all the time, so that one after the other is quickest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes {
    ids: Vec<NodeId>,
    known: Vec<Known>,
}

impl Nodes {
    pub(crate) fn of(known: Known) -> Self {
        Self { ids: vec![known.id], known: vec![known] }
    }

    fn at(&self, id: &NodeId) -> Option<usize> {
        self.ids.iter().position(|known| known == id)
    }

    pub(crate) fn get(&self, id: &NodeId) -> Option<&Known> {
        self.known.get(self.at(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Known> {
        let at = self.at(id)?;
        self.known.get_mut(at)
    }

    pub(crate) fn contains_key(&self, id: &NodeId) -> bool {
        self.ids.contains(id)
    }

    pub(crate) const fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn values(&self) -> std::slice::Iter<'_, Known> {
        self.known.iter()
    }

    pub(crate) fn values_mut(&mut self) -> std::slice::IterMut<'_, Known> {
        self.known.iter_mut()
    }

    /// Takes a node in, in the place of one with the same id.
    pub(crate) fn insert(&mut self, known: Known) {
        if let Some(old) = self.get_mut(&known.id) {
            *old = known;
            return;
        }
        let at = self.ids.partition_point(|id| *id < known.id);
        self.ids.insert(at, known.id);
        self.known.insert(at, known);
    }

    pub(crate) fn remove(&mut self, id: &NodeId) -> Option<Known> {
        let at = self.at(id)?;
        self.ids.remove(at);
        Some(self.known.remove(at))
    }

    pub(crate) fn retain(&mut self, stays: impl Fn(&Known) -> bool) {
        self.known.retain(stays);
        self.ids = self.known.iter().map(|known| known.id).collect();
    }
}
