//! Time series: values over equal steps of a time line.

/// The mean number of intervals (start, end) that overlap each step.
pub(super) fn mean_overlap(intervals: impl Iterator<Item = (i64, i64)>, step: i64, steps: usize) -> Vec<f64> {
    let mut covered = vec![0_i64; steps];
    for (start, end) in intervals {
        let (mut start, end) = (start.max(0), end.min(step * steps as i64));
        while start < end {
            let index = start / step;
            let step_end = ((index + 1) * step).min(end);
            covered[index as usize] += step_end - start;
            start = step_end;
        }
    }
    covered.into_iter().map(|micros| micros as f64 / step as f64).collect()
}

/// The number of times within each step.
pub(super) fn count_per_step(times: impl Iterator<Item = i64>, step: i64, steps: usize) -> Vec<u64> {
    let mut counts = vec![0; steps];
    for time in times {
        if let Some(count) = usize::try_from(time.div_euclid(step)).ok().and_then(|index| counts.get_mut(index)) {
            *count += 1;
        }
    }
    counts
}

/// The maximum number of intervals that overlap each other. `None` without intervals.
pub(super) fn max_overlap(intervals: &[(i64, i64)]) -> Option<f64> {
    let mut changes: Vec<(i64, i64)> = intervals.iter().flat_map(|(start, end)| [(*start, 1), (*end, -1)]).collect();
    // An end sorts before a start at the same time, since it frees the slot for the start.
    changes.sort_unstable();
    let mut open = 0;
    let overlaps = changes.into_iter().map(|(_, change)| {
        open += change;
        open
    });
    overlaps.max().map(|max| max as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_counts_in_proportion_to_its_overlap() {
        let means = mean_overlap([(0, 10), (5, 25), (-5, 2), (90, 200)].into_iter(), 10, 3);
        assert_eq!(means, [1.7, 1.0, 0.5]);
    }

    #[test]
    fn times_outside_the_time_line_are_not_counted() {
        assert_eq!(count_per_step([0, 9, 10, -3, 99].into_iter(), 10, 2), [2, 1]);
    }

    #[test]
    fn end_frees_its_slot_for_a_simultaneous_start() {
        assert_eq!(max_overlap(&[(0, 10), (10, 20), (5, 12)]), Some(2.0));
        assert_eq!(max_overlap(&[]), None);
    }
}
