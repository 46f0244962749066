"""The networks of a population that train together on one core, and the states worth keeping.

Operations of this size use a second core badly when they are split over both, so each core has a
part of its own. Networks stand in slots; slots without one repeat the last network, and some at the
end are always unused (`spare_networks`). A part has FEW slots or a multiple of SLOTS_AT_ONCE, and
the spare ones: in all these shapes a network's arithmetic is the same, digit by digit.

Shapes: K slots, N people (n training rows first), p first-layer columns, d encoder outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from pipeline.networks import (
    Architecture,
    Constants,
    Encodings,
    Epoch,
    EpochResult,
    FirstLayer,
    NetworkSpec,
    OwnRows,
    Program,
    Schedule,
    TrainingData,
    Weights,
    cores,
    flat_later,
    initial_weights,
    later_layers,
    networks_of_a_part,
    optimizer,
    penalties,
    program,
    resting,
    spare_networks,
)
from pipeline.training import tensors
from pipeline.training.own_rows import Ownership
from pipeline.training.resting_encoder import RestingEncoder

FEW, SLOTS_AT_ONCE = 3, 8
"""Networks of a part are FEW, or a multiple from the second on, for each of which a program is
compiled when it is first needed: so that few do not pay for many."""

STEP_SLOTS = 16
"""What a step costs besides its slots, in slots."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What all parts of a population share."""

    data: TrainingData
    architecture: Architecture
    schedule: Schedule
    constants: Constants
    uses: penalties.Uses
    own: Ownership | None = None

    def keeps_best_epoch(self, spec: NetworkSpec) -> bool:
        """Whether a network's best epoch by validation is kept beside its last one."""
        validation: int = self.data.rows[1]
        if self.own is not None:
            validation = len(self.own.fitted(spec.resample).validation)
        return bool(validation) and self.schedule.keep_best

    def own_rows(self, specs: Sequence[NetworkSpec]) -> OwnRows | tuple[()]:
        """Of the networks of a part; () where every network trains on all rows."""
        return () if self.own is None else self.own.tensors(specs, self.places)

    @property
    def places(self) -> FirstLayer:
        """Where the first layer's columns stand while training."""
        return self.architecture.first_layer.padded

    @property
    def most(self) -> int:
        """Networks of a part, at most."""
        return networks_of_a_part(self.data, self.architecture, self.schedule)

    @property
    def sizes(self) -> list[int]:
        """Networks that a part has slots for, in rising order."""
        multiples = range(2 * SLOTS_AT_ONCE, self.most, SLOTS_AT_ONCE)
        return [size for size in (FEW, *multiples) if size < self.most] + [self.most]

    def _size(self, networks: int) -> int:
        """The least that so many networks fit in."""
        return next(size for size in self.sizes if networks <= size)

    def split(self, networks: np.ndarray) -> list[np.ndarray]:
        """Networks → those of each part, so that the cores are done soonest.

        Parts take turns: neighbors tend to be alike, and the parts are to cost the same.
        """
        if not len(networks):
            return []

        def time(parts: int) -> tuple[int, int]:
            size = self._size(-(-len(networks) // parts))
            return -(-parts // cores()) * (size + STEP_SLOTS), parts

        parts = min({-(-len(networks) // size) for size in self.sizes}, key=time)
        return [networks[i::parts] for i in range(parts)]

    def slots(self, networks: int) -> int:
        """Of a part of so many networks, the spare ones too."""
        return self._size(networks) + spare_networks(self.architecture)

    def program(self, slots: int) -> Program:
        columns = self.constants.columns.shape[1]
        kind = None if self.own is None else self.own.kind
        return program(self.architecture, self.data.task, slots, columns, self.uses, kind)

    def filled(self, networks: np.ndarray) -> np.ndarray:
        """The networks of a part, and the last of them again in every empty slot."""
        empty_slots = self.slots(len(networks)) - len(networks)
        return np.append(networks, np.repeat(networks[-1], empty_slots))

    def predict(self, weights: Weights, learned, own, initial, networks: int) -> np.ndarray:
        """(networks, o, N) of the first networks of these slots; weights are NumPy's, learned the
        encoders' C (n, K, d) and a (K, 1), or (). An encoder dimension without weights says
        nothing, and is not multiplied out."""
        run = self.program(len(weights.first)).predict
        later = tf.constant(flat_later(weights))
        encoder: optimizer.Encoder | tuple[()] = ()
        prepared: Encodings | tuple[()] = ()
        if learned:
            chosen = np.any(weights.first[:, :, self.places.encodings] != 0.0, axis=1)
            chosen[networks:] = False
            moving = resting.Moving.where(chosen)
            encoder = resting.moving_encoder(moving, *learned)
            prepared = Encodings(moving, tf.reshape(initial, [-1, chosen.size]))
        bounds = map(tf.constant, (0, len(self.data.target)))
        first = tf.constant(weights.first)
        found = run(first, later, encoder, own, prepared, self.constants, *bounds)
        return found.numpy()[:networks]


@dataclass(eq=False)
class Part:
    """networks[i] of the population stands in slot i."""

    setting: Setting
    networks: np.ndarray
    state: optimizer.State
    hyperparameters: optimizer.Hyperparameters
    own: OwnRows | tuple[()]
    initial_encodings: tf.Tensor
    _resting: RestingEncoder | None = None

    @classmethod
    def start(
        cls,
        setting: Setting,
        networks: np.ndarray,
        specs: Sequence[NetworkSpec],
        initial: Weights | None,
    ) -> Part:
        """Fresh networks; specs and initial, where given, are those of the whole population."""
        data, architecture = setting.data, setting.architecture
        filled = setting.filled(networks)
        slot_specs = [specs[i] for i in filled]
        if initial is None:
            weights = initial_weights(architecture, [spec.seed for spec in slot_specs])
        else:
            weights = tf.nest.map_structure(lambda x: np.asarray(x, np.float32)[filled], initial)
        first = setting.places.widened(np.asarray(weights.first))
        if setting.own is not None:
            for slot, spec in enumerate(slot_specs):
                first[slot][:, setting.own.held_at_zero(spec, setting.places)] = 0.0
        later = flat_later(tf.nest.map_structure(np.asarray, weights))
        return cls(
            setting,
            networks,
            optimizer.start(first, later, data.rows[0], architecture.genetic_dimensions),
            tensors.hyperparameters(slot_specs),
            setting.own_rows(slot_specs),
            tensors.initial_encodings(data, architecture, slot_specs, setting.own),
        )

    @classmethod
    def regrouped(cls, parts: Sequence[Part], networks: np.ndarray) -> Part:
        """A part of some networks of these parts, where they stand now."""
        setting, offset = parts[0].setting, 0
        slot_of: dict[int, int] = {}
        for part in parts:
            slot_of |= {network: offset + slot for slot, network in enumerate(part.networks)}
            offset += len(part.state.first)
        slots = [slot_of[network] for network in setting.filled(networks)]

        def moved(*each, axis: int = 0):
            return tf.gather(tf.concat(each, axis), slots, axis=axis)

        states = [part.gathered() for part in parts]
        encoder = states[0].encoder
        if encoder != ():
            axes = optimizer.Encoder(1, 1, 0, 0)
            each = zip(*(state.encoder for state in states), strict=True)
            encoder = optimizer.Encoder(*(moved(*x, axis=a) for x, a in zip(each, axes)))
        bare = [state._replace(encoder=()) for state in states]
        return cls(
            setting,
            networks,
            tf.nest.map_structure(moved, *bare)._replace(encoder=encoder),
            tf.nest.map_structure(moved, *(part.hyperparameters for part in parts)),
            tf.nest.map_structure(moved, *(part.own for part in parts)),
            moved(*(part.initial_encodings for part in parts), axis=1),
        )

    def train(self, epoch: Epoch, scored: slice) -> EpochResult:
        """One pass over the training rows: losses, kept columns and predictions of the scored
        rows, in NumPy."""
        setting, slots = self.setting, len(self.state.first)
        prepared: Encodings | tuple[()] = ()
        state = self.state
        if isinstance(state.encoder, optimizer.Encoder):
            if self._resting is None:
                self._resting = self._all_moving(state.encoder)
            weights = state.first.numpy()[:, :, setting.places.encodings]
            moves = np.any(weights != 0.0, axis=1)
            moves[len(self.networks) :] = False  # slots without a network
            prepared = self._resting.prepared(moves)
            state = state._replace(encoder=self._resting.moving_encoder)
        state, result = setting.program(slots).train_epoch(
            state,
            self.hyperparameters,
            self.own,
            prepared,
            setting.constants,
            epoch,
            tf.constant(scored.start),
            tf.constant(scored.stop),
        )
        if self._resting is not None:
            self._resting.moving_encoder = state.encoder
            state = state._replace(encoder=self.state.encoder)
        self.state = state
        return EpochResult(*(x.numpy()[: len(self.networks)] for x in result))

    def _all_moving(self, encoder: optimizer.Encoder) -> RestingEncoder:
        (n, validation, _), program = (
            self.setting.data.rows,
            self.setting.program(len(encoder.scale)),
        )
        relationship = self.setting.constants.relationship[: n + validation]
        assert program.learned is not None
        learned = partial(program.learned, relationship)
        return RestingEncoder(encoder, self.initial_encodings[: n + validation], learned)

    def encoder_of(self, slot: int) -> tuple[np.ndarray, np.ndarray] | tuple[()]:
        """C (n, d) and a (1,) of one network after an epoch; () without genotypes."""
        if self._resting is None:
            return ()
        scale = self._resting.moving_encoder.scale.numpy()[slot]
        return self._resting.coefficients(slot), scale.copy()

    def gathered(self) -> optimizer.State:
        """The state, with the whole encoder as it is after the last epoch."""
        if self._resting is not None:
            self.state = self.state._replace(encoder=self._resting.whole())
        return self.state


class Snapshots:
    """The weights and encoders of all networks of a population at an epoch worth keeping.

    kept  of each network (first, later, (coefficients, scale) or ()), or None
    """

    def __init__(self, setting: Setting, networks: int):
        self._setting = setting
        self.kept: list = [None] * networks

    def keep(self, part: Part, slots: np.ndarray) -> None:
        """Remember the networks in these slots as they are now."""
        first, later = part.state.first.numpy(), part.state.later.numpy()
        for slot in slots:
            state = first[slot].copy(), later[slot].copy(), part.encoder_of(slot)
            self.kept[part.networks[slot]] = state

    def of(self, network: int) -> tuple[Weights, tuple]:
        """Weights of one network, and of its encoder C (n, d) and a (); () without genotypes."""
        first, later, learned = self.kept[network]
        layers = later_layers(later[None], self._setting.architecture)
        each = tuple(type(layer)(*(x[0] for x in layer)) for layer in layers)
        return Weights(first, each), learned and (learned[0], learned[1][0])

    def replace_first(self, network: int, first: np.ndarray) -> None:
        """Keep this first layer (h, p) in place of the one that was kept."""
        self.kept[network] = (first, *self.kept[network][1:])

    def stacked(self, networks: np.ndarray):
        """Weights of these networks, and of their encoders C (n, K, d) and a (K, 1), or ()."""
        first, later, learned = zip(*(self.kept[network] for network in networks), strict=True)
        layers = later_layers(np.stack(later), self._setting.architecture)
        weights = Weights(np.stack(first), layers)
        if learned[0] == ():
            return weights, ()
        coefficients, scales = zip(*learned, strict=True)
        return weights, (np.stack(coefficients, axis=1), np.stack(scales))
