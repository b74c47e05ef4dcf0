//! `tribune add-node`: an empty node joins a cluster.

use super::{
    Target,
    change::{Change, ChangeArgs},
    named::node,
};
use crate::{
    connection::ConnectionArgs,
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use operations::{
    functions::{self, Functions},
    observe::{Observation, dial_and_ask},
    port::NodeLink,
};
use topology::{
    NodeAddr,
    create::NewNode,
    membership::{Role, plan_join},
    plan::NodeRef,
};

/// Let an empty node join: as a primary without slots, or as a replica.
#[derive(Args)]
pub(crate) struct AddNodeArgs {
    /// The new node, with @BUSPORT where the bus port is not PORT + 10000
    #[arg(value_name = "NEW")]
    new: String,
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    existing: String,
    /// As a replica: of the shard that has the fewest unless --replica-of says which
    #[arg(long, visible_alias = "slave")]
    replica: bool,
    /// As a replica of this primary: its id, the beginning of it, or its address
    #[arg(long, value_name = "ID", visible_aliases = ["master-id", "primary-id"])]
    replica_of: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(arguments: &AddNodeArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let AddNodeArgs { new, existing, replica, replica_of, change, connection } = arguments;
    let target = Target { address: vec![existing.clone()], connection: connection.clone() };
    let new: NodeAddr = new.parse()?;
    target.address()?;
    let connector = target.connector()?;
    let (observation, answer) = tokio::join!(Change::look(&target), dial_and_ask(&connector, &new));
    let (mut observation, answer) = (observation?, answer?);
    let role = match replica_of {
        Some(word) => Role::ReplicaOf(node(&observation.view, word)?),
        None if *replica => Role::ReplicaWhereFewest,
        None => Role::Primary,
    };
    let (functions_of, note) = match role {
        Role::Primary => missing_functions(&observation, &new, answer.link.as_ref()).await?,
        _ => (None, None),
    };
    let request = format!("add-node {} {role:?}", answer.view.myself.id);
    observation.links.insert(answer.view.myself.id, answer.link);
    let node = NewNode { address: new, zone: None, view: answer.view };
    let mut plan = plan_join(&observation.view, &node, role, functions_of)?;
    plan.reasons.extend(note);
    let (question, options) = ("yes lets it join; the data of the cluster is not touched.", change.without_moves());
    Change { request, target: &target, way: change, question, options }.make(plan, observation, printer).await
}

/// The member whose functions a new primary has to get, or why there is none though there should be.
///
/// # Errors
/// When the new node has functions of its own: a cluster whose primaries differ answers by chance.
pub(crate) async fn missing_functions(
    observation: &Observation,
    new: &NodeAddr,
    link: &dyn NodeLink,
) -> Result<(Option<NodeRef>, Option<String>), Failure> {
    let members = observation.nodes(|said| said.myself.is_primary() && !said.myself.slots.is_empty());
    let Some(member) = members.into_iter().next() else { return Ok((None, None)) };
    let Some(other) = observation.links.get(&member.id) else { return Ok((None, None)) };
    Ok(match functions::compare(other.as_ref(), link).await? {
        Functions::Alike => (None, None),
        Functions::Missing(_) => (Some(member), None),
        Functions::Unreadable(error) => {
            (None, Some(format!("the functions of the cluster are not copied, since they cannot be read: {error}")))
        }
        Functions::Differ(names) => {
            return Err(Failure::new(format!("{new} has functions of its own: {}", names.join(", ")))
                .because("primaries with different functions answer differently")
                .advice(format!("if they may go: redis-cli -h {} -p {} FUNCTION FLUSH", new.host, new.port)));
        }
    })
}
