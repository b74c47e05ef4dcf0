//! Steps by which a node joins and leaves.

use super::{
    RunError, Runner,
    roles::forget_on_disk,
    steps::{changed, command},
};
use crate::{
    functions::{self, Functions},
    port::{Command, Dispensable, NothingToLose, OnlyACopy},
};
use topology::{findings::count, plan::NodeRef};

impl Runner<'_> {
    /// Gives a new node the functions of a member.
    pub(super) async fn copy_functions(&self, from: &NodeRef, to: &NodeRef) -> Result<(), RunError> {
        let link = self.fresh(to).await?.0;
        match functions::compare(self.link(from)?, link).await? {
            Functions::Alike => Ok(()),
            Functions::Missing(dump) => command(link, Command::FunctionRestore(dump)).await,
            Functions::Differ(names) => Err(changed(to, format!("it has functions of its own: {}", names.join(", ")))),
            Functions::Unreadable(error) => Err(error.into()),
        }
    }

    /// Lets a node that all others have forgotten forget them.
    pub(super) async fn retire(&self, node: &NodeRef, copy_of: Option<&NodeRef>) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        if view.peers.is_empty() {
            return Ok(());
        }
        if !view.myself.slots.is_empty() {
            return Err(changed(node, format!("it owns {}", count(view.myself.slots.len(), "slot"))));
        }
        let proof = match copy_of {
            Some(primary) => {
                let proof = OnlyACopy::by(&view, &self.fresh(primary).await?.1);
                proof.map(Dispensable::Copy).ok_or_else(|| changed(node, "it is no copy of its primary any more"))?
            }
            None if view.myself.is_replica() => return Err(changed(node, "it is a replica now")),
            None => {
                let proof = NothingToLose::by(&view.server);
                Dispensable::Nothing(proof.map_err(|keys| changed(node, keys.to_string()))?)
            }
        };
        command(link, Command::ResetSoft(proof)).await?;
        forget_on_disk(link).await
    }
}
