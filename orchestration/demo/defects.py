"""The broken lines of real feeds, appended to a few nightly files of the demo base."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path

Line = Mapping[str, str] | str

# Per table: whole lines with a value that cannot be read, or raw text that is no line of the table.
# An open quote ends its file, so that it swallows no good row.
DEFECTS: Mapping[str, tuple[Line, ...]] = {
    "customers": (
        {"customer_id": "", "created_at": "{night} 00:10:00", "source": "web", "last_name": "Sans-Clé"},
        "C9000001;2026;tout;dans;une;colonne\n",
        'C9000002,"{night} 00:20:00',
    ),
    "orders": (
        {"order_id": "O-9001", "customer_id": "C0000001", "ordered_at": "hier", "amount": "25.00"},
        {"order_id": "O-9002", "customer_id": "C0000002", "ordered_at": "{night} 00:30:00", "amount": "12,50"},
        {"order_id": "O-9003", "customer_id": "", "ordered_at": "{night} 00:40:00", "amount": "30.00"},
        "O-9004,C0000003,{night} 00:50:00,completed,18.00,EUR,1,18.00,9.00,{night} 02:00:00,one,more\n",
        "O-9005,C0000004\n",
        'O-9006,"C0000005',
    ),
    "consents": (
        {"consent_id": "K-9001", "customer_id": "C0000001", "channel": "", "status": "opt_in"},
        "K-9002,C0000002,email\n",
    ),
}


def spoil(out: Path) -> None:
    """Append each line of `DEFECTS` to a night file of its own under `out`.

    The largest files are taken: whoever guesses a file's form from its lines sees many good ones.
    """
    for table, lines in DEFECTS.items():
        nights = sorted((out / table).glob(f"{table}_2*"), key=lambda path: (-path.stat().st_size, path.name))
        for path, line in zip(nights, lines, strict=False):
            _append(path, line, night=path.name.removeprefix(f"{table}_")[:10])


def _append(path: Path, line: Line, night: str) -> None:
    packed = path.suffix == ".gz"
    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    if isinstance(line, str):
        text = line
    else:
        header = next(csv.reader([data.decode("utf-8").split("\n", 1)[0]]))
        values = {"loaded_at": "{night} 02:00:00", **line}
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow([values.get(column, "") for column in header])
        text = buffer.getvalue()
    data += text.replace("{night}", night).encode("utf-8")
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
