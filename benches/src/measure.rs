//! Medians, and ratios within a round: on a machine that is now fast and now slow, what is measured side by side can be
//! compared.

use std::time::Duration;

/// What was measured of one candidate, a value for each round; [`None`] where it did not get to its end.
#[derive(Debug, Clone, Default)]
pub struct Series(pub Vec<Option<f64>>);

impl Series {
    /// The value in the middle; [`None`] when most rounds failed.
    pub fn median(&self) -> Option<f64> {
        median(self.0.iter().map(|value| value.unwrap_or(f64::INFINITY)).collect()).filter(|value| value.is_finite())
    }

    /// The median of the ratios to another candidate, each in one round.
    pub fn ratio(&self, to: &Self) -> Option<f64> {
        let ratios = self.0.iter().zip(&to.0).filter_map(|(value, to)| Some((*value)? / (*to)?));
        median(ratios.collect())
    }

    /// The lowest and the highest value.
    pub fn range(&self) -> Option<(f64, f64)> {
        let values = || self.0.iter().copied().flatten();
        values().min_by(f64::total_cmp).zip(values().max_by(f64::total_cmp))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Runs all candidates in each round.
pub fn rounds<T>(count: usize, candidates: &[T], mut run: impl FnMut(&T) -> Option<f64>) -> Vec<Series> {
    let mut series = vec![Series::default(); candidates.len()];
    for _ in 0..count {
        for (series, candidate) in series.iter_mut().zip(candidates) {
            series.0.push(run(candidate));
        }
    }
    series
}

/// A number with as many digits as say something.
pub fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}

/// The same for what may never have come to its end.
pub fn shown(value: Option<f64>) -> String {
    value.map_or("never".to_owned(), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        let a = Series(vec![Some(1.0), Some(10.0), Some(3.0)]);
        let b = Series(vec![Some(2.0), Some(40.0), None]);
        assert_eq!(a.median(), Some(3.0));
        assert_eq!(b.median(), Some(40.0));
        assert_eq!(b.ratio(&a), Some(4.0));
        assert_eq!(a.range(), Some((1.0, 10.0)));
        assert_eq!(Series(vec![None, None, Some(1.0)]).median(), None);
        assert_eq!([number(123.4), number(12.34), number(1.234)], ["123", "12.3", "1.23"]);
    }
}
