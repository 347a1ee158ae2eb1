"""The body of an execute request: its inputs by value or by reference, and what is wanted of the outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pystac_client.exceptions import APIError
from requests import RequestException

from catalog.errors import RequestError
from catalog.guards.json_text import parse_json, parse_object
from catalog.guards.refusal import reason
from catalog.networks import Network, RefusedAddressError
from catalog.quoting import shown
from catalog.sources.address import is_url
from catalog.sources.stac.web import WebReader, refusal
from flows.ogc.offers import Offer

LARGEST = 10_000_000
"""Bytes of a body, or of what an input refers to."""

TIMEOUT = 20.0
"""Seconds without an answer from the address that an input refers to."""

_LINK = {"href", "rel", "type", "title", "hreflang"}
_QUALIFIED = {"value", "mediaType", "encoding", "schema"}
_LONGITUDE_LATITUDE = ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "http://www.opengis.net/def/crs/OGC/0/CRS84h")


@dataclass(frozen=True, slots=True)
class Execution:
    """What an execute request asks for."""

    inputs: dict[str, Any]
    document: bool
    """Whether results are wanted as a document of all outputs; else the one output as it is."""
    by_reference: bool
    """Whether the output is wanted as a link."""


def read_execution(body: bytes, offer: Offer, networks: Collection[Network] = (Network.PUBLIC,)) -> Execution:
    """Read the body of an execute request; ``networks``: those on which inputs by reference may lie.

    Raises `RequestError` where it isn't understood, or asks for what the process hasn't.
    """
    given = parse_object(body, lambda why: RequestError(f'the body {why}. It looks like {{"inputs": …}}.'), unique=True)
    if unknown := sorted(given.keys() - {"inputs", "outputs", "response", "subscriber"}):
        raise RequestError(f"{unknown[0]}: not known in an execute request, which has inputs, outputs and response.")
    if given.get("subscriber") is not None:
        raise RequestError("subscriber: callbacks are not offered. Ask for the job's status instead.")
    inputs = given.get("inputs", {})
    if not isinstance(inputs, dict):
        raise RequestError("inputs: no JSON object. Give each input by its name.")
    if unknown := sorted(inputs.keys() - set(offer.inputs)):
        raise RequestError(f"{unknown[0]}: not an input of {offer.id}, which takes {', '.join(offer.inputs)}.")
    response = given.get("response", "raw")
    if response not in ("raw", "document"):
        raise RequestError(f"response: {shown(response)} is neither raw nor document.")
    return Execution(
        inputs={name: _value(name, value, networks) for name, value in inputs.items()},
        document=response == "document",
        by_reference=_by_reference(given.get("outputs"), offer),
    )


def _value(name: str, given: Any, networks: Collection[Network]) -> Any:
    """The value of an input: itself, inside a qualified value, or behind a link."""
    if isinstance(given, Mapping) and "href" in given and not given.keys() - _LINK:
        given = _referred(name, str(given["href"]), networks)
    elif isinstance(given, Mapping) and "value" in given and not given.keys() - _QUALIFIED:
        if given.get("encoding"):
            raise RequestError(f"{name}: encoded values are not taken. Give it as JSON.")
        given = given["value"]
    if name == "area" and isinstance(given, Mapping) and "bbox" in given and not given.keys() - {"bbox", "crs"}:
        crs = given.get("crs", _LONGITUDE_LATITUDE[0])
        if crs not in _LONGITUDE_LATITUDE:
            raise RequestError(
                f"area: {shown(crs)} is not taken. Give longitudes and latitudes, {_LONGITUDE_LATITUDE[0]}."
            )
        given = given["bbox"]
        if isinstance(given, list) and len(given) == 6:  # with heights, which a map hasn't
            given = [given[0], given[1], given[3], given[4]]
    return given


def _referred(name: str, address: str, networks: Collection[Network]) -> Any:
    """The JSON at an address of the allowed networks; neighbours of this machine are never asked."""
    if not is_url(address):
        raise RequestError(f"{name}: {shown(address)} is no address with http or https. Give one, or the value itself.")
    session = WebReader(networks).session
    try:
        with session.get(address, stream=True, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            content = b""
            for part in answer.iter_content(65_536):
                content += part
                if len(content) > LARGEST:
                    raise RequestError(f"{name}: what lies at {shown(address)} has more than {LARGEST:,} bytes.")
    except (RequestException, APIError, RefusedAddressError, OSError) as error:
        why = refusal(error) or error
        raise RequestError(f"{name}: {shown(address)} can't be read: {reason(why)}.") from error
    return parse_json(content, lambda why: RequestError(f"{name}: what lies at {shown(address)} {why}."))


def _by_reference(outputs: Any, offer: Offer) -> bool:
    """Whether the output is wanted as a link. Raises `RequestError` where anything is wanted of it that it isn't."""
    if outputs is None:
        return False
    if not isinstance(outputs, dict) or any(not isinstance(output, dict) for output in outputs.values()):
        raise RequestError('outputs: no JSON object of objects, such as {"delivery": {"transmissionMode": "value"}}.')
    if unknown := sorted(outputs.keys() - {offer.output}):
        raise RequestError(f"outputs: {offer.id} has no {shown(unknown[0])}, only {offer.output}.")
    wanted = outputs.get(offer.output, {})
    if unknown := sorted(wanted.keys() - {"transmissionMode", "format"}):
        raise RequestError(
            f"outputs: {shown(unknown[0])} isn't known of an output, which has transmissionMode and format."
        )
    _check_format(wanted.get("format"), offer)
    mode = wanted.get("transmissionMode", "value")
    if mode not in ("value", "reference"):
        raise RequestError(f"outputs: transmissionMode {shown(mode)} is neither value nor reference.")
    return bool(mode == "reference")


def _check_format(wanted: Any, offer: Offer) -> None:
    """Raise `RequestError` where the output is wanted in another format than its own."""
    if wanted is None:
        return
    own = {"mediaType": offer.output_schema["contentMediaType"], "encoding": "utf-8", "schema": offer.output_schema}
    if not isinstance(wanted, dict):
        raise RequestError(
            f'outputs: format {shown(wanted)} is no JSON object, such as {{"mediaType": "{own["mediaType"]}"}}.'
        )
    for name, value in wanted.items():
        given = value.strip().lower() if isinstance(value, str) else value
        if given is not None and (name not in own or given != own[name]):
            raise RequestError(
                f"outputs: {offer.output} isn't made with {shown(name)} {shown(value)}, only as {own['mediaType']}. "
                "Ask for that, or leave the format out."
            )
