"""The columns of a look, judged as Evidently's preset does, by the rows themselves."""

from model_ci.stages.check_drift import account, counting, evidently, judging, raw, reference, verdict
from model_ci.stages.check_drift.observation import Observation


def judge(observation: Observation) -> account.Conclusion:
    """Judge as Evidently's preset does: drift, when half of the columns have it."""
    config, against = observation.config.check_drift, observation.reference
    table = against.table
    rows_now = sum(counted.rows for _, counted in observation.windows)
    if table is None or rows_now < config.min_rows:
        return account.conclude(observation, [], {}, None, judged=False, seen=0)
    theirs = counting.Work(
        columns=observation.work.columns, names=reference.names(observation.config, against.profile, is_log=False)
    )
    weight = verdict.weights(observation.columns, against.importance)
    judged = {j.column.name: j for j in judging.windows(observation, judging.rules_of(config))[0]}
    columns = []
    for column in observation.work.columns:
        method = config.categories if column.grid is None else config.numbers
        threshold = config.thresholds.get(column.name, config.threshold)
        score = raw.score(column, (table.parts, theirs), (observation.rows.parts, observation.work), method, threshold)
        # A column without a value is an error there; here it is drift, unless the reference has none either.
        drifted = score.drifted if score else bool(judged[column.name].reasons)
        record = verdict.as_record(judged[column.name], weight.get(column.name), [drifted], drifted=drifted)
        record |= {"drifted_now": drifted, "p_adjusted": None, "reasons": []}
        if score:
            record |= {
                "method": score.method,
                "score": score.value if score.value == score.value else None,
                "threshold": score.threshold,
                "p_value": score.value if score.is_p_value and score.value == score.value else None,
                "reasons": [f"{score.method} {score.value:.3g}, threshold {score.threshold:g}"] if drifted else [],
            }
        columns.append(record)
    share = sum(c["drifted"] for c in columns) / max(len(columns), 1)
    return account.conclude(observation, columns, {"data": share >= evidently.SHARE}, None, judged=True, seen=1)
