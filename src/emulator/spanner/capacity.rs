//! Nodes and processing units: two words for one number, given once and shown twice.

use tonic::Status;

use super::refusal::invalid;
use crate::pb::google::spanner::admin::instance::v1::{
    AutoscalingConfig,
    autoscaling_config::autoscaling_limits::{MaxLimit, MinLimit},
};

/// Processing units of a node.
const NODE: i32 = 1000;
/// Steps below one node.
const STEP: i32 = 100;
/// Most nodes of an instance here.
const NODES_MAX: i32 = 10_000;

/// How much an instance has, in processing units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity(i32);

impl Capacity {
    /// Reads what was given, in whichever unit; 0 is nothing.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for nothing, for two that differ and for a number that does not exist.
    pub(super) fn read(resource: &str, nodes: i32, units: i32) -> Result<Self, Status> {
        if !(0..=NODES_MAX).contains(&nodes) {
            let range = format!("must be from 1 to {NODES_MAX}");
            return Err(invalid(&format!("{resource}.node_count"), range));
        }
        let field = format!("{resource}.processing_units");
        match (nodes, units) {
            (0, 0) => Err(invalid(&format!("{resource}.node_count"), "or processing_units is required")),
            (nodes, 0) => Ok(Self(nodes * NODE)),
            (0, units) => Self::of_units(&field, units),
            (nodes, units) if nodes.checked_mul(NODE) == Some(units) => Ok(Self(units)),
            _ => Err(invalid(&field, "and node_count say different things; give one of them")),
        }
    }

    /// Reads the least capacity that autoscaling leaves.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for limits or targets that are absent or impossible.
    pub(super) fn least(resource: &str, config: &AutoscalingConfig) -> Result<Self, Status> {
        let field = format!("{resource}.autoscaling_config.autoscaling_limits");
        let Some(limits) = &config.autoscaling_limits else { return Err(invalid(&field, "is required")) };
        let (least, most) = match (&limits.min_limit, &limits.max_limit) {
            (Some(MinLimit::MinNodes(least)), Some(MaxLimit::MaxNodes(most))) => {
                (Self::read(resource, *least, 0)?, Self::read(resource, *most, 0)?)
            }
            (Some(MinLimit::MinProcessingUnits(least)), Some(MaxLimit::MaxProcessingUnits(most))) => {
                (Self::of_units(&field, *least)?, Self::of_units(&field, *most)?)
            }
            _ => return Err(invalid(&field, "must hold the least and the most, in the same unit")),
        };
        if least.0 < NODE || least.0 > most.0 {
            return Err(invalid(&field, "must begin at one node and not end before they begin"));
        }
        let field = format!("{resource}.autoscaling_config.autoscaling_targets");
        let Some(targets) = &config.autoscaling_targets else { return Err(invalid(&field, "is required")) };
        if !(10..=99).contains(&targets.storage_utilization_percent) {
            return Err(invalid(&format!("{field}.storage_utilization_percent"), "must be from 10 to 99"));
        }
        let cpu = [targets.high_priority_cpu_utilization_percent, targets.total_cpu_utilization_percent];
        if cpu == [0, 0] || cpu.iter().any(|percent| *percent != 0 && !(10..=90).contains(percent)) {
            return Err(invalid(&field, "must hold a target for CPU from 10 to 90"));
        }
        Ok(least)
    }

    /// Returns nodes and processing units; nodes are 0 where they are no whole number.
    pub(super) fn shown(self) -> (i32, i32) {
        (if self.0 % NODE == 0 { self.0 / NODE } else { 0 }, self.0)
    }

    fn of_units(field: &str, units: i32) -> Result<Self, Status> {
        let step = if units < NODE { STEP } else { NODE };
        if units < STEP || units % step != 0 || units / NODE > NODES_MAX {
            return Err(invalid(field, "must be 100 to 900 in hundreds, or a multiple of 1000"));
        }
        Ok(Self(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_given_once_and_shown_twice() {
        for (nodes, units, shown) in [
            (1, 0, Some((1, 1000))),
            (0, 300, Some((0, 300))),
            (0, 2000, Some((2, 2000))),
            (2, 2000, Some((2, 2000))),
            (1, 2000, None),
            (0, 0, None),
            (0, 150, None),
            (0, 1500, None),
            (-1, 0, None),
            (i32::MAX, 0, None),
        ] {
            let read = Capacity::read("instance", nodes, units).ok().map(Capacity::shown);
            assert_eq!(read, shown, "{nodes} nodes, {units} units");
        }
    }
}
