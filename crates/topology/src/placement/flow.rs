//! The choice of primaries as a minimum cost flow: one unit from each shard through a host and its zone.

use super::Places;
use std::{collections::VecDeque, ops::AddAssign};

/// What a choice costs, most important first: replicas in the primary's zone, replicas on its host, crowding of zones,
/// crowding of hosts, position in the list given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cost([i64; 5]);

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, add)| *sum += add);
    }
}

impl Cost {
    fn plus(mut self, other: Self) -> Self {
        self += other;
        self
    }

    fn negative(self) -> Self {
        Self(self.0.map(|part| -part))
    }
}

/// An option of a shard: this member as its primary.
#[derive(Clone, Copy)]
struct Choice {
    node: usize,
    host: usize,
    cost: Cost,
}

/// A vertex of the flow network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vertex {
    Shard(usize),
    Host(usize),
    Zone(usize),
    Done,
}

/// Chooses one member of each shard as its primary.
pub(super) fn choose_primaries(shards: &[Vec<usize>], places: &Places) -> Vec<usize> {
    let mut flow = Flow::new(shards, places);
    for shard in 0..shards.len() {
        flow.route(shard);
    }
    let chosen = flow.chosen.iter().zip(&flow.choices).zip(shards);
    chosen
        .map(|((chosen, choices), members)| {
            let choice = chosen.and_then(|at| choices.get(at)).map(|choice| choice.node);
            choice.or_else(|| members.first().copied()).unwrap_or_default()
        })
        .collect()
}

struct Flow {
    /// The options of each shard: for each host the first member on it.
    choices: Vec<Vec<Choice>>,
    /// Which option each shard has taken.
    chosen: Vec<Option<usize>>,
    /// Shards that have an option on each host.
    shards_of_host: Vec<Vec<usize>>,
    zone_of_host: Vec<usize>,
    hosts_of_zone: Vec<Vec<usize>>,
    /// Primaries on each host and in each zone.
    on_host: Vec<i64>,
    in_zone: Vec<i64>,
}

impl Flow {
    fn new(shards: &[Vec<usize>], places: &Places) -> Self {
        let hosts = places.host.iter().max().map_or(0, |most| most + 1);
        let zones = places.zone.iter().max().map_or(0, |most| most + 1);
        let mut zone_of_host = vec![0; hosts];
        let mut hosts_of_zone = vec![Vec::new(); zones];
        for (&host, &zone) in places.host.iter().zip(&places.zone) {
            set(&mut zone_of_host, host, zone);
            if let Some(hosts) = hosts_of_zone.get_mut(zone).filter(|hosts| !hosts.contains(&host)) {
                hosts.push(host);
            }
        }
        let choices: Vec<Vec<Choice>> = shards.iter().map(|members| choices(members, places)).collect();
        let mut shards_of_host = vec![Vec::new(); hosts];
        for (shard, choices) in choices.iter().enumerate() {
            for choice in choices {
                if let Some(shards) = shards_of_host.get_mut(choice.host) {
                    shards.push(shard);
                }
            }
        }
        Self {
            chosen: vec![None; shards.len()],
            choices,
            shards_of_host,
            zone_of_host,
            hosts_of_zone,
            on_host: vec![0; hosts],
            in_zone: vec![0; zones],
        }
    }

    fn index(&self, vertex: Vertex) -> usize {
        let (shards, hosts) = (self.choices.len(), self.on_host.len());
        match vertex {
            Vertex::Done => 0,
            Vertex::Shard(shard) => 1 + shard,
            Vertex::Host(host) => 1 + shards + host,
            Vertex::Zone(zone) => 1 + shards + hosts + zone,
        }
    }

    /// Where flow can go from here, and what one unit more costs. Crowding is convex: the n-th primary costs 2n - 1.
    fn arcs(&self, from: Vertex) -> Vec<(Vertex, Cost)> {
        match from {
            Vertex::Done => Vec::new(),
            Vertex::Shard(shard) => {
                let taken = get(&self.chosen, shard).flatten();
                let choices = self.choices.get(shard).into_iter().flatten().enumerate();
                choices
                    .filter(|(at, _)| Some(*at) != taken)
                    .map(|(_, choice)| (Vertex::Host(choice.host), choice.cost))
                    .collect()
            }
            Vertex::Host(host) => {
                let zone = get(&self.zone_of_host, host).unwrap_or_default();
                let crowd = 2 * get(&self.on_host, host).unwrap_or_default() + 1;
                let back = self.shards_of_host.get(host).into_iter().flatten().filter_map(|&shard| {
                    let choice = self.choice(shard)?;
                    (choice.host == host).then_some((Vertex::Shard(shard), choice.cost.negative()))
                });
                std::iter::once((Vertex::Zone(zone), Cost([0, 0, 0, crowd, 0]))).chain(back).collect()
            }
            Vertex::Zone(zone) => {
                let crowd = 2 * get(&self.in_zone, zone).unwrap_or_default() + 1;
                let back = self.hosts_of_zone.get(zone).into_iter().flatten().filter_map(|&host| {
                    let primaries = get(&self.on_host, host)?;
                    (primaries > 0).then_some((Vertex::Host(host), Cost([0, 0, 0, 1 - 2 * primaries, 0])))
                });
                std::iter::once((Vertex::Done, Cost([0, 0, crowd, 0, 0]))).chain(back).collect()
            }
        }
    }

    fn choice(&self, shard: usize) -> Option<Choice> {
        let taken = get(&self.chosen, shard).flatten()?;
        self.choices.get(shard)?.get(taken).copied()
    }

    /// Sends one unit from this shard to the end by the cheapest way (Bellman-Ford with a queue).
    fn route(&mut self, shard: usize) {
        let vertices = 1 + self.choices.len() + self.on_host.len() + self.in_zone.len();
        let mut best: Vec<Option<(Cost, Vertex)>> = vec![None; vertices];
        let start = Vertex::Shard(shard);
        set(&mut best, self.index(start), Some((Cost::default(), start)));
        let mut queue = VecDeque::from([start]);
        let mut queued = vec![false; vertices];
        while let Some(vertex) = queue.pop_front() {
            set(&mut queued, self.index(vertex), false);
            let Some((cost, _)) = get(&best, self.index(vertex)).flatten() else { continue };
            for (next, more) in self.arcs(vertex) {
                let (total, at) = (cost.plus(more), self.index(next));
                if get(&best, at).flatten().is_none_or(|(known, _)| total < known) {
                    set(&mut best, at, Some((total, vertex)));
                    if !get(&queued, at).unwrap_or(true) {
                        set(&mut queued, at, true);
                        queue.push_back(next);
                    }
                }
            }
        }
        let mut way = vec![Vertex::Done];
        while let Some(&last) = way.last().filter(|last| **last != start) {
            match get(&best, self.index(last)).flatten() {
                Some((_, previous)) => way.push(previous),
                None => return,
            }
        }
        way.reverse();
        way.windows(2).for_each(|step| self.send(step));
    }

    fn send(&mut self, step: &[Vertex]) {
        match *step {
            [Vertex::Shard(shard), Vertex::Host(host)] => {
                let at = self.choices.get(shard).and_then(|choices| choices.iter().position(|c| c.host == host));
                set(&mut self.chosen, shard, at);
            }
            [Vertex::Host(host), Vertex::Zone(_)] => add(&mut self.on_host, host, 1),
            [Vertex::Zone(zone), Vertex::Done] => add(&mut self.in_zone, zone, 1),
            [Vertex::Zone(_), Vertex::Host(host)] => add(&mut self.on_host, host, -1),
            // Backwards through a shard's old choice: the next step gives it another.
            _ => {}
        }
    }
}

fn choices(members: &[usize], places: &Places) -> Vec<Choice> {
    let mut choices: Vec<Choice> = Vec::new();
    for &node in members {
        let (host, zone) = (places.host(node), places.zone(node));
        if choices.iter().any(|choice| choice.host == host) {
            continue;
        }
        let beside = |same: &dyn Fn(usize) -> bool| {
            let others = members.iter().filter(|other| **other != node && same(**other)).count();
            i64::try_from(others).unwrap_or(i64::MAX)
        };
        let in_zone = beside(&|other| places.zone(other) == zone);
        let on_host = beside(&|other| places.host(other) == host);
        let position = i64::try_from(node).unwrap_or(i64::MAX);
        choices.push(Choice { node, host, cost: Cost([in_zone, on_host, 0, 0, position]) });
    }
    choices
}

fn get<T: Copy>(list: &[T], at: usize) -> Option<T> {
    list.get(at).copied()
}

fn set<T>(list: &mut [T], at: usize, value: T) {
    if let Some(place) = list.get_mut(at) {
        *place = value;
    }
}

fn add(list: &mut [i64], at: usize, more: i64) {
    if let Some(place) = list.get_mut(at) {
        *place += more;
    }
}
