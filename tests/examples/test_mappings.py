"""The examples: what each mapping decides, on small files, and the published facts, on the real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from examples import run
from examples.prepare import example_names, load_example, main, prepare
from orchestration.contract import raw_tables
from orchestration.settings import PROJECT_ROOT, load_settings

Query = Callable[[str], list[tuple[Any, ...]]]

TEST_DATA = (PROJECT_ROOT / os.environ.get("BATHTUB_TEST_DATA", "../shared/data")).resolve()
REQUIRED_TABLES = [table for table in raw_tables() if not table.optional]

INVOICE_COLUMNS = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
PROFILE_COLUMNS = (
    "CustomerKey,Prefix,FirstName,LastName,BirthDate,MaritalStatus,Gender,EmailAddress,AnnualIncome,"
    "TotalChildren,EducationLevel,Occupation,HomeOwner"
)
SALE_COLUMNS = "OrderDate,StockDate,OrderNumber,ProductKey,CustomerKey,TerritoryKey,OrderLineItem,OrderQuantity"


def mapped(example: str, data_dir: Path, out_dir: Path) -> Query:
    """Map `data_dir` and return a function that queries the Parquet files by table name, and `lines` as published."""
    prepare(example, data_dir, out_dir)
    connection = duckdb.connect()
    for table in REQUIRED_TABLES:
        connection.execute(f"create view {table.name} as from '{out_dir / table.name}.parquet'")
    line_files = data_dir / load_example(example).files[-1]
    connection.execute(f"create table lines as from read_csv('{line_files}', header = true, all_varchar = true)")
    return lambda sql: connection.sql(sql).fetchall()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Query]:
    """Map the files of an example as published, once; skip where they are absent."""

    @cache
    def mapped_once(example: str) -> Query:
        folder = TEST_DATA / example
        if not folder.is_dir():
            pytest.skip(f"{folder} is absent: set BATHTUB_TEST_DATA to the folder that holds {example}/")
        return mapped(example, folder, tmp_path_factory.mktemp(example))

    return mapped_once


@pytest.fixture
def invoices(tmp_path: Path) -> Callable[..., Query]:
    """Map a few Online Retail lines."""

    def map_lines(*lines: str) -> Query:
        (tmp_path / "2011.csv").write_text("\n".join([INVOICE_COLUMNS, *lines, ""]), encoding="utf-8")
        return mapped("online_retail", tmp_path, tmp_path / "raw")

    return map_lines


def write_adventureworks(folder: Path, *sales: str, birth_date: str = "5/14/1965", gender: str = "F") -> None:
    profile = f'1,MS.,ANA,LEE,{birth_date},S,{gender},aña@b.example,"$60,000 ",3,Bachelors,Professional,N'
    files = {
        "Customers": f"\ufeff{PROFILE_COLUMNS}\n{profile}\n",
        "Products": "ProductKey,ProductCost,ProductPrice\n7,4.5,10.25\n",
        "Sales_2017": "\n".join([SALE_COLUMNS, *sales, ""]),
    }
    for name, text in files.items():
        (folder / f"AdventureWorks_{name}.csv").write_text(text, encoding="utf-8")


@pytest.fixture
def sales(tmp_path: Path) -> Callable[..., Query]:
    """Map a few AdventureWorks lines and one profile."""

    def map_lines(*lines: str, **profile: str) -> Query:
        write_adventureworks(tmp_path, *lines, **profile)
        return mapped("adventureworks", tmp_path, tmp_path / "raw")

    return map_lines


# Every example


@pytest.mark.parametrize("example", example_names())
def test_tables_follow_the_raw_contract(published: Callable[[str], Query], example: str) -> None:
    query = published(example)
    for table in REQUIRED_TABLES:
        columns = {name: data_type.lower() for name, data_type, *_ in query(f"describe {table.name}")}
        expected = {column.name: column.data_type for column in table.delivered}
        assert columns.items() <= expected.items()
        assert {column.name for column in table.required} <= columns.keys()


@pytest.mark.parametrize("example", example_names())
def test_keys_are_unique_and_never_empty(published: Callable[[str], Query], example: str) -> None:
    query = published(example)
    assert query("select count(*) from customers") == query("select count(distinct customer_id) from customers")
    assert query("select count(*) from orders") == query("select count(distinct order_id) from orders")


@pytest.mark.parametrize("example", example_names())
def test_every_order_with_a_customer_id_has_its_customer(published: Callable[[str], Query], example: str) -> None:
    known = published(example)("select count(*) from orders anti join customers using (customer_id)")
    assert known == published(example)("select count(*) from orders where customer_id is null")


@pytest.mark.parametrize("example", example_names())
def test_events_and_consents_are_empty(published: Callable[[str], Query], example: str) -> None:
    assert published(example)("select count(*) from events union all select count(*) from consents") == [(0,), (0,)]


@pytest.mark.parametrize("example", example_names())
def test_the_months_to_close_hold_every_order(published: Callable[[str], Query], example: str) -> None:
    settings = load_example(example)
    zone = settings.vars["reporting_timezone"]
    month = f"strftime(bound(ordered_at) at time zone 'UTC' at time zone '{zone}', '%Y-%m')"
    sql = f"select {month.replace('bound', 'min')}, {month.replace('bound', 'max')} from orders"
    assert published(example)(sql) == [(settings.first_month, settings.last_month)]


@pytest.mark.parametrize("example", example_names())
def test_settings_are_accepted(example: str, tmp_path: Path) -> None:
    environment = run.environment(load_example(example), tmp_path, {"BATHTUB_VARS": "{first_month: 2024-01}"})
    settings = load_settings(environment)
    assert settings.overrides == load_example(example).vars
    assert (settings.raw_dir, settings.warehouse) == (tmp_path / "raw", tmp_path / "bathtub.duckdb")


# Online Retail


def test_online_retail_facts(published: Callable[[str], Query]) -> None:
    query = published("online_retail")
    facts = """
        select
            count(*), count(distinct InvoiceNo), count(distinct CustomerID),
            count(*) filter (CustomerID is null), count(*) - count(distinct lines),
            count(*) filter (Quantity::int < 0), count(*) filter (UnitPrice::double = 0)
        from lines
    """
    assert query(facts) == [(541_909, 25_900, 4_372, 135_080, 5_268, 10_624, 2_515)]
    assert query("select count(*), count(*) filter (status = 'cancelled') from orders") == [(25_900, 3_836)]
    assert query("select count(*) from customers") == [(4_372,)]


def test_online_retail_loses_no_line(published: Callable[[str], Query]) -> None:
    query = published("online_retail")
    assert query("select count(*) from lines join orders on order_id = InvoiceNo") == [(541_909,)]
    sums = "select sum(amount)::decimal(12, 2), sum(quantity)::bigint from orders"
    assert query(sums) == query(
        "select sum(Quantity::int * UnitPrice::decimal(12, 4))::decimal(12, 2), sum(Quantity::int) from lines"
    )


def test_online_retail_invoices_without_a_customer_stay_visible(published: Callable[[str], Query]) -> None:
    sql = """
        select count(distinct order_id), count(*)
        from orders join lines on order_id = InvoiceNo
        where customer_id is null
    """
    assert published("online_retail")(sql) == [(3_710, 135_080)]


def test_online_retail_buyers(published: Callable[[str], Query]) -> None:
    sql = "select count(distinct customer_id) from orders where status <> 'cancelled' and amount > 0"
    assert published("online_retail")(sql) == [(4_338,)]


def test_online_retail_each_invoice_has_one_customer_and_one_country(published: Callable[[str], Query]) -> None:
    sql = """
        select count(*) from lines group by InvoiceNo
        having count(distinct coalesce(CustomerID, '')) > 1 or count(distinct Country) > 1
    """
    assert published("online_retail")(sql) == []


def test_online_retail_invoices_with_two_timestamps_are_a_minute_apart(published: Callable[[str], Query]) -> None:
    sql = """
        select max(InvoiceDate)::timestamp - min(InvoiceDate)::timestamp <= interval 1 minute
        from lines group by InvoiceNo
        having count(distinct InvoiceDate) > 1
    """
    assert published("online_retail")(sql) == [(True,)] * 43


def test_online_retail_countries_without_a_code_are_the_three_known(published: Callable[[str], Query]) -> None:
    sql = """
        select distinct lines.Country
        from customers join lines on customer_id || '.0' = CustomerID
        where customers.country is null order by 1
    """
    names = ["Channel Islands", "European Community", "Unspecified"]
    assert published("online_retail")(sql) == [(name,) for name in names]


def test_invoice_time_is_london_local_time(invoices: Callable[..., Query]) -> None:
    query = invoices("1,A,a,1,2011-01-05 10:00:00,2,17850.0,EIRE", "2,A,a,1,2011-07-05 10:00:00,2,17850.0,EIRE")
    assert query("select ordered_at from orders") == [(datetime(2011, 1, 5, 10),), (datetime(2011, 7, 5, 9),)]


def test_an_invoice_is_one_order_at_its_first_minute(invoices: Callable[..., Query]) -> None:
    line = "1,A,a,2,2011-01-05 10:01:00,1.255,17850.0,EIRE"
    query = invoices(line, line, "1,B,b,-1,2011-01-05 10:00:00,0.01,17850.0,EIRE")
    assert query("from orders") == [("1", "17850", datetime(2011, 1, 5, 10), "completed", 5.01, "GBP", 3.0)]


def test_a_number_that_starts_with_c_is_a_cancellation(invoices: Callable[..., Query]) -> None:
    query = invoices("C1,A,a,-2,2011-01-05 10:00:00,2.5,17850.0,USA")
    assert query("select status, amount from orders") == [("cancelled", -5.0)]


def test_an_invoice_without_a_customer_makes_an_order_without_one(invoices: Callable[..., Query]) -> None:
    query = invoices("1,A,a,1,2011-01-05 10:00:00,2,,USA")
    assert query("select order_id, customer_id from orders") == [("1", None)]
    assert query("from customers") == []


def test_most_invoices_then_the_earliest_decide_the_country(invoices: Callable[..., Query]) -> None:
    query = invoices(
        "1,A,a,1,2011-01-01 10:00:00,2,1.0,Spain",
        "2,A,a,1,2011-01-02 10:00:00,2,1.0,RSA",
        "3,A,a,1,2011-01-03 10:00:00,2,1.0,RSA",
        "4,A,a,1,2011-01-04 10:00:00,2,2.0,Denmark",
        "5,A,a,1,2011-01-05 10:00:00,2,2.0,Belgium",
        "6,A,a,1,2011-01-05 10:00:00,2,3.0,Unspecified",
    )
    assert query("select customer_id, country from customers") == [("1", "ZA"), ("2", "DK"), ("3", None)]


# AdventureWorks


def test_adventureworks_facts(published: Callable[[str], Query]) -> None:
    query = published("adventureworks")
    assert query("select count(*), count(distinct OrderNumber) from lines") == [(56_046, 25_162)]
    assert query("select count(*), count(distinct customer_id) from orders") == [(25_164, 17_411)]
    profiles = """
        select
            count(*), count(*) filter (gender is null), count(*) filter (regexp_matches(email, '[^\\x00-\\x7F]')),
            count(distinct email), min(birth_date), max(birth_date)
        from customers
    """
    assert query(profiles) == [(18_148, 130, 39, 18_148, date(1910, 8, 13), date(1980, 12, 26))]
    assert query("select count(*) from customers anti join orders using (customer_id)") == [(737,)]


def test_adventureworks_loses_no_line(published: Callable[[str], Query]) -> None:
    sql = "select count(*) from lines join orders on order_id = OrderNumber || '-' || CustomerKey"
    assert published("adventureworks")(sql) == [(56_046,)]
    sums = "select round(sum(amount), 2), sum(quantity), round(sum(cost_amount), 2), count(amount) from orders"
    assert published("adventureworks")(sums) == [(24_914_586.82, 84_174.0, 14_456_871.39, 25_164)]


def test_two_customers_who_share_an_order_number_have_an_order_each(sales: Callable[..., Query]) -> None:
    query = sales("1/13/2017,1/1/2001,SO1,7,1,8,1,1", "1/13/2017,1/1/2001,SO1,7,2,9,1,1")
    assert query("select order_id, customer_id from orders") == [("SO1-1", "1"), ("SO1-2", "2")]


def test_an_order_sums_quantity_by_product_price_and_cost(sales: Callable[..., Query]) -> None:
    query = sales("9/30/2017,1/1/2001,SO1,7,1,8,1,2", "09/30/2017,1/1/2001,SO1,7,1,8,2,1")
    amounts = "select ordered_at, amount, list_amount, cost_amount, quantity, currency from orders"
    assert query(amounts) == [(datetime(2017, 9, 30), 30.75, 30.75, 13.5, 3.0, "USD")]


def test_an_order_with_an_unknown_product_has_no_amount(sales: Callable[..., Query]) -> None:
    query = sales("9/30/2017,1/1/2001,SO1,7,1,8,1,2", "9/30/2017,1/1/2001,SO1,8,1,8,2,1")
    assert query("select amount from orders") == [(None,)]


def test_a_profile_keeps_what_the_file_says(sales: Callable[..., Query]) -> None:
    query = sales(birth_date="04/08/1966", gender="NA")
    expected = ("1", "ANA", "LEE", date(1966, 4, 8), None, "Professional", "aña@b.example", "$60,000")
    assert query("from customers") == [expected]


# The commands


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command, check that it fails with exit code 2 and one line, and return the line."""
    assert main([str(argument) for argument in arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    return output.err


def test_a_missing_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, "online_retail", tmp_path / "absent", tmp_path / "raw")
    assert "absent is not a folder; examples/online_retail/README.md says" in message
    assert not (tmp_path / "raw").exists()


def test_an_empty_folder_is_one_sentence_that_names_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, "adventureworks", tmp_path, tmp_path / "raw")
    assert "has no AdventureWorks_Customers.csv, no AdventureWorks_Products.csv, no AdventureWorks_Sales_*.csv;" in message


def test_a_missing_column_is_one_sentence_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = INVOICE_COLUMNS.replace("Country", "Land")
    (tmp_path / "2011.csv").write_text(f"{header}\n1,A,a,1,2011-01-05 10:00:00,2,1.0,USA\n", encoding="utf-8")
    assert "Country" in failure(capsys, "online_retail", tmp_path, tmp_path / "raw")


@pytest.mark.parametrize("birth_date", ["1965-05-14", "14/5/1965"])
def test_an_unreadable_value_is_one_sentence_without_the_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], birth_date: str
) -> None:
    write_adventureworks(tmp_path, birth_date=birth_date)
    message = failure(capsys, "adventureworks", tmp_path, tmp_path / "raw")
    assert "1965" not in message
    assert "Could not parse a value according to format specifier" in message


def test_prepare_tells_the_rows_of_each_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_adventureworks(tmp_path, "9/30/2017,1/1/2001,SO1,7,1,8,1,2")
    assert main(["adventureworks", str(tmp_path), str(tmp_path / "raw")]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["customers: 1 rows", "orders: 1 rows"]


def test_run_closes_the_months_in_a_warehouse_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []

    def record(command: list[str], *, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append((command, env))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", record)
    monkeypatch.setattr(run, "PROJECT_ROOT", tmp_path)
    write_adventureworks(tmp_path, "9/30/2017,1/1/2001,SO1,7,1,8,1,2")
    assert run.main(["adventureworks", str(tmp_path)]) == 3
    [(command, env)] = calls
    assert command == [sys.executable, "-m", "orchestration", "build", "--from", "2017-01", "--to", "2019-06"]
    home = tmp_path / "data" / "examples" / "adventureworks"
    assert env["BATHTUB_WAREHOUSE"] == str(home / "bathtub.duckdb")
    assert json.loads(env["BATHTUB_VARS"]) == {"reporting_timezone": "UTC"}
    assert Path(env["BATHTUB_RAW_DIR"], "orders.parquet").is_file()


def test_run_without_files_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["online_retail", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
