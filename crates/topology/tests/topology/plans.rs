//! Plans that move slots or change roles, run by a model of a cluster.

mod changed;
mod copies;
mod failover;
mod moving_not_yet;
mod open_moves;
mod rebalance;
mod repair;
mod repurpose;
mod reshard;
mod scale;
mod shapes;
