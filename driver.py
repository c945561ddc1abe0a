"""The few statements of the site's most frequent requests, given to the database's driver as
they are.

SQLAlchemy's own way to run a statement is general, and for a row or two takes many times as long
as the row itself. Here its SQL, and what turns values into the database's and back, is made once
for each statement by SQLAlchemy, and kept. Connections come from its pool, and errors are its own.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

_Turns = Callable[[Any], Any] | None  # a value into the database's, or back; None: it is the same
_Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a statement found, by the names of its columns; for a write, how many rows it met."""

    rows: Sequence[Any]
    rowcount: int

    def all(self) -> Sequence[Any]:
        """Every row."""
        return self.rows

    def scalar(self) -> Any:
        """The first row's first column."""
        return self.rows[0][0] if self.rows else None


class Driver:
    """A driver's connection that runs SQLAlchemy's statements, as `Connection.execute` does.

    A statement object is run with the same names of values each time.
    """

    def __init__(self, dialect: Dialect, cursor: Any, kept: dict[Any, _Ready]):
        self.dialect = dialect
        self._cursor, self._kept = cursor, kept

    def execute(self, statement: Any, values: _Values | Sequence[_Values]) -> Found:
        """Run it, once or for each of several values. Raises the driver's errors."""
        several = not isinstance(values, Mapping)
        ready = self._kept.get(statement)
        if ready is None:
            names = list(values[0] if several else values)  # type: ignore[index]
            ready = self._kept[statement] = _Ready(statement, self.dialect, names)
        if several:
            self._cursor.executemany(ready.sql, [ready.given(one) for one in values])  # type: ignore[arg-type]
        else:
            self._cursor.execute(ready.sql, ready.given(values))  # type: ignore[arg-type]
        return Found(ready.read(self._cursor), self._cursor.rowcount)

    def run(self, sql: str) -> None:
        """Run what takes and finds nothing."""
        self._cursor.execute(sql)


class _Ready:
    """A statement's SQL for one kind of database, and its types' ways in and out of it."""

    def __init__(self, statement: Any, dialect: Dialect, names: list[str]):
        made: SQLCompiler = statement.compile(dialect=dialect, column_keys=names)
        self.sql = made.string
        self._positions = made.positiontup
        self._into = {
            name: (_way_in(bound.type, dialect), made.params.get(name))
            for bound, name in made.bind_names.items()
        }
        # What text() finds has no names that are known before, and is taken as it is.
        columns = getattr(statement, "selected_columns", ())
        self._out = [_way_out(column.type, dialect) for column in columns]
        self._named = _named([column.name for column in columns]) if columns else None

    def given(self, values: _Values) -> Any:
        """These values as the statement takes them: by place or by name."""
        taken = {}
        for name, (turn, default) in self._into.items():
            value = values.get(name, default)
            taken[name] = turn(value) if turn else value
        return taken if self._positions is None else [taken[name] for name in self._positions]

    def read(self, cursor: Any) -> Sequence[Any]:
        """What the cursor found."""
        if cursor.description is None:
            return ()
        rows: Sequence[Any] = cursor.fetchall()
        if self._named is None:
            return rows
        return [
            self._named(
                turn(value) if turn else value for turn, value in zip(self._out, row, strict=True)
            )
            for row in rows
        ]


def _named(names: list[str]) -> Callable[[Iterable[Any]], Any]:
    """Makes rows of these columns."""
    made: Any = type("Row", (namedtuple("Row", names),), {"__slots__": ()})
    return cast(Callable[[Iterable[Any]], Any], made._make)


@contextmanager
def driving(engine: Engine, kept: dict[Any, _Ready]) -> Iterator[Driver]:
    """A driver's connection from the pool, which takes it back when the block ends and undoes
    what was not committed. Raises SQLAlchemy's errors; where the database went away, every
    connection of the pool is made anew."""
    dialect = engine.dialect
    driver_error = dialect.loaded_dbapi.Error
    connection = None
    try:
        connection = engine.raw_connection()
        yield Driver(dialect, connection.cursor(), kept)
    except driver_error as error:
        lost = connection is not None and dialect.is_disconnect(
            error, connection.dbapi_connection, None
        )
        if connection is not None and lost:
            connection.invalidate(error)
            engine.dispose()
        raise DBAPIError.instance(
            None,
            None,
            error,
            driver_error,
            hide_parameters=True,
            connection_invalidated=lost,
            dialect=dialect,
        ) from error
    finally:
        if connection is not None:
            connection.close()


def _way_in(type: TypeEngine[Any], dialect: Dialect) -> _Turns:
    return type.dialect_impl(dialect).bind_processor(dialect)


def _way_out(type: TypeEngine[Any], dialect: Dialect) -> _Turns:
    return type.dialect_impl(dialect).result_processor(dialect, None)
