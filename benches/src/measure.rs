//! Medians and rounds.

/// Rounds of each measurement.
pub(crate) const ROUNDS: usize = 3;

/// The middle one; 0 of none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The middle one of a figure of each round.
pub(crate) fn median_of<T>(rounds: &[T], figure: fn(&T) -> f64) -> f64 {
    median(&mut rounds.iter().map(figure).collect::<Vec<_>>())
}

/// Two things measured in turns, so that a machine that slows down slows both.
pub(crate) fn in_turns<T>(
    mut ours: impl FnMut() -> anyhow::Result<T>,
    mut theirs: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<(Vec<T>, Vec<T>)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(ours()?);
        b.push(theirs()?);
    }
    Ok((a, b))
}

/// Medians of two things that are measured in turns.
pub(crate) fn paired(
    ours: impl FnMut() -> anyhow::Result<f64>,
    theirs: impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<(f64, f64)> {
    let (mut a, mut b) = in_turns(ours, theirs)?;
    Ok((median(&mut a), median(&mut b)))
}
