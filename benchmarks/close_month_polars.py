"""One month closed by a Polars script: `python -m benchmarks.close_month_polars CONFIG`, a JSON file; prints its seconds.

A lazy scan of the same Parquet files and of the month before, the same columns as core.int_customer_months (but for its
constant definition_version) written as Parquet. It runs in a process of its own: POLARS_MAX_THREADS is read at import.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

BLANK = r"\s*"


def close_month(config: Mapping[str, Any]) -> float:
    """Close the month that `config` describes and return the seconds it took."""
    started = time.perf_counter()
    _closed(config).sink_parquet(config["out"], compression="zstd", compression_level=1, engine="streaming")
    return time.perf_counter() - started


def _local_date(at: pl.Expr, zone: str) -> pl.Expr:
    return at.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()


def _is_filled(column: str, nothing: str) -> pl.Expr:
    return (~pl.col(column).str.contains(f"(?is)^{BLANK}(?:{nothing})?{BLANK}$")).fill_null(False)


def _words(values: Sequence[str]) -> str:
    return "|".join(map(re.escape, values))


def _profiles(config: Mapping[str, Any]) -> pl.LazyFrame:
    nothing, zone = _words(config["placeholders"]), config["zone"]
    nobody = f"{nothing}|(?:{_words(config['local_parts'])})(?:@.*)?"
    as_of = date.fromisoformat(config["as_of"])
    born = pl.col("birth_date")
    oldest = as_of.replace(year=as_of.year - 121)
    placeholders = [date.fromisoformat(day) for day in config["birth_dates"]]
    flags = [
        pl.all_horizontal(_is_filled(column, nobody if column == "email" else nothing) for column in columns).alias(
            f"has_{name}"
        )
        for name, columns in config["fields"].items()
        if name != "birth_date"
    ]
    source = pl.col("source").str.strip_chars().str.to_lowercase()
    return pl.scan_parquet(config["customers"]).select(
        "customer_id",
        "created_at",
        pl.when(source != "").then(source).otherwise(pl.lit("unknown")).alias("source"),
        _local_date(pl.col("created_at"), zone).alias("profile_created_date"),
        _local_date(pl.col("deleted_at"), zone).alias("left_date"),
        (~born.is_in(placeholders) & (born <= as_of) & (born > oldest)).fill_null(False).alias("has_birth_date"),
        *flags,
        pl.lit(True).alias("has_profile"),
    )


def _traces(config: Mapping[str, Any], until: bool) -> pl.LazyFrame:
    """Orders, events and consents from the month's start on, with the moments that the state keeps, one column each."""
    start, end = (datetime.fromisoformat(config[key]) for key in ("start", "end"))

    def scan(table: str, at: str) -> pl.LazyFrame:
        rows = pl.scan_parquet(config[table], hive_partitioning=False).filter(pl.col(at) >= start)
        return (rows.filter(pl.col(at) < end) if until else rows).with_columns(pl.col(at).alias("occurred_at"))

    at = pl.col("occurred_at")
    status = pl.col("status").str.strip_chars().str.to_lowercase()
    is_counted = (pl.col("amount") > 0) & ~status.is_in(["cancelled", "canceled"]).fill_null(False)
    key = ["customer_id", "occurred_at"]
    orders = scan("orders", "ordered_at").select(*key, pl.when(is_counted).then(at).alias("act_0_at"))
    events = scan("events", "occurred_at").select(
        *key,
        *(
            pl.when(pl.col("event_type") == kind).then(at).alias(f"act_{n}_at")
            for n, kind in enumerate(config["activities"], start=1)
        ),
    )
    is_in = pl.col("status") == "opt_in"
    consents = scan("consents", "occurred_at").select(
        *key,
        *(
            pl.when((pl.col("channel") == channel) & is_kind).then(at).alias(f"{channel}_opt_{kind}_at")
            for channel in config["channels"]
            for kind, is_kind in (("in", is_in), ("out", ~is_in))
        ),
    )
    return pl.concat([orders, events, consents], how="diagonal")


def _happened(config: Mapping[str, Any], kinds: Sequence[str], consents: Sequence[str]) -> pl.LazyFrame:
    moments = [f"act_{n}_at" for n in range(len(kinds))]
    grouped = (
        _traces(config, until=True)
        .group_by("customer_id")
        .agg(
            pl.col("occurred_at").min().alias("first_at"),
            pl.col("act_0_at").min().alias("first_order_at"),
            pl.col([*moments, *consents]).max(),
        )
        .with_columns(pl.max_horizontal(moments).alias("last_act_at"))
    )
    last_type = pl.coalesce(
        pl.when(pl.col(moment) == pl.col("last_act_at")).then(pl.lit(kind)) for moment, kind in zip(moments, kinds, strict=True)
    )
    return grouped.select(
        "customer_id",
        _local_date(pl.col("first_at"), config["zone"]).alias("first_trace_date"),
        _local_date(pl.col("first_order_at"), config["zone"]).alias("first_order_date"),
        "last_act_at",
        last_type.alias("last_act_type"),
        *consents,
        pl.lit(True).alias("has_happened"),
    )


def _first_traces(config: Mapping[str, Any]) -> pl.LazyFrame:
    undated = pl.scan_parquet(config["customers"]).filter(pl.col("created_at").is_null()).select("customer_id")
    first = pl.col("occurred_at").min()
    traces = _traces(config, until=False).select("customer_id", "occurred_at").join(undated, on="customer_id", how="semi")
    return traces.group_by("customer_id").agg(_local_date(first, config["zone"]).alias("later_trace_date"))


def _closed(config: Mapping[str, Any]) -> pl.LazyFrame:
    month, next_month, as_of = (date.fromisoformat(config[key]) for key in ("month", "next", "as_of"))
    channels = [f"{channel}_opt_{kind}_at" for channel in config["channels"] for kind in ("in", "out")]
    opening = pl.scan_parquet(config["before"]).select(
        "customer_id", "source", "status", "is_in_base", "is_active", "created_date", "first_trace_date", "first_order_date",
        "last_activity_date", "last_act_at", "last_act_type", *channels, pl.lit(True).alias("is_open"),
    )  # fmt: skip
    happened = _happened(config, ["order", *config["activities"]], channels)
    joined = (
        opening.join(happened, on="customer_id", how="full", coalesce=True, suffix="_h")
        .join(_profiles(config), on="customer_id", how="full", coalesce=True, suffix="_p")
        .join(_first_traces(config), on="customer_id", how="left")
    )
    col, flags = pl.col, [f"has_{name}" for name in config["fields"]]
    is_later = col("last_act_at_h").is_not_null() & ~(col("last_act_at") > col("last_act_at_h")).fill_null(False)
    first_trace = pl.min_horizontal("first_trace_date", "later_trace_date")
    born = (
        pl.when(col("was_in_base")).then(col("created_date"))
        .when(col("has_profile"))
        .then(pl.coalesce("profile_created_date", first_trace, pl.lit(date.fromisoformat(config["first_month"]))))
    )  # fmt: skip
    merged = joined.with_columns(
        col("is_in_base").fill_null(False).alias("was_in_base"),
        col("has_profile").fill_null(False),
        (col("is_open").fill_null(False) | col("has_happened").fill_null(False)).alias("has_left_traces"),
        col(flags).fill_null(False),
    ).with_columns(
        pl.coalesce("source_p", "source").alias("closing_source"),
        born.alias("born_date"),
        pl.min_horizontal("first_trace_date", "first_trace_date_h").alias("first_trace_date"),
        pl.min_horizontal("first_order_date", "first_order_date_h").alias("first_order_date"),
        pl.max_horizontal("last_act_at", "last_act_at_h").alias("last_act_at"),
        pl.when(is_later).then(col("last_act_type_h")).otherwise(col("last_act_type")).alias("last_act_type"),
        pl.max_horizontal("last_activity_date", _local_date(col("last_act_at_h"), config["zone"])).alias("last_activity_date"),
        *(pl.max_horizontal(name, f"{name}_h").alias(name) for name in channels),
        *(
            pl.when(col("was_in_base")).then(col(name)).alias(f"opening_{name}")
            for name in ("source", "status", "is_active")
        ),
    )  # fmt: skip
    is_gone = col("left_date") < next_month
    closed = merged.with_columns(
        pl.max_horizontal("last_activity_date", "born_date").alias("last_activity_date"),
        (
            col("has_profile") & (col("was_in_base") | (col("born_date") < next_month)) & ~is_gone.fill_null(False)
        ).fill_null(False).alias("is_in_base"),
        (
            ~col("was_in_base") & (col("born_date") >= month) & (col("born_date") < next_month) & is_gone
        ).fill_null(False).alias("is_transient"),
        pl.when(col("first_order_date").is_not_null()).then(pl.lit("customer")).otherwise(pl.lit("prospect")).alias("status"),
    ).filter(col("is_in_base") | col("has_left_traces") | col("is_transient"))  # fmt: skip
    is_open = ~col("was_in_base")
    movement = (
        pl.when(col("was_in_base") & ~col("is_in_base")).then(pl.lit("deleted"))
        .when(col("is_transient")).then(pl.lit("transient"))
        .when(~col("is_in_base")).then(None)
        .when(is_open & (col("born_date") >= month)).then(pl.lit("new"))
        .when(is_open).then(pl.lit("restored"))
        .when((col("opening_status") == "prospect") & col("first_order_date").is_not_null()).then(pl.lit("converted"))
        .when(col("opening_source") != col("closing_source")).then(pl.lit("reassigned"))
        .otherwise(pl.lit("stable"))
    )  # fmt: skip
    is_activity = (col("last_act_at") >= col("created_at")) | (col("created_at").is_null() & col("last_act_at").is_not_null())
    days = (pl.lit(as_of) - col("last_activity_date")).dt.total_days()
    return closed.select(
        pl.lit(month).alias("snapshot_month"),
        pl.lit(as_of).alias("as_of_date"),
        "customer_id",
        col("closing_source").alias("source"),
        "status",
        movement.alias("movement"),
        pl.when(is_activity).then(col("last_act_type")).otherwise(pl.lit("sign_up")).alias("last_activity_type"),
        "last_act_type",
        "opening_source",
        "opening_status",
        "is_in_base",
        (col("is_in_base") & (days <= 365)).alias("is_active"),
        "opening_is_active",
        *flags,
        col("born_date").alias("created_date"),
        "first_trace_date",
        "first_order_date",
        "last_activity_date",
        "last_act_at",
        *channels,
    )


def config_of(files: Mapping[str, str], words: Any, month: date, first_month: date, spans: tuple[str, str]) -> dict[str, Any]:
    """Return what the script reads, as JSON holds it: files, the month and its instants in UTC, and the business words."""
    next_month = (month + timedelta(days=32)).replace(day=1)
    return {
        **files,
        "month": f"{month}",
        "next": f"{next_month}",
        "as_of": f"{next_month - timedelta(days=1)}",
        "first_month": f"{first_month}",
        "start": spans[0],
        "end": spans[1],
        "zone": words.reporting_timezone,
        "activities": list(words.activity_event_types),
        "channels": list(words.channels),
        "fields": {field.name: field.raw_columns for field in words.profile_fields},
        "placeholders": list(words.placeholders.values),
        "local_parts": list(words.placeholders.email_local_parts),
        "birth_dates": [f"{day}" for day in words.placeholders.birth_dates],
    }


if __name__ == "__main__":
    print(close_month(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
