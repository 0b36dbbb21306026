"""Beam search with a Transformer decoder: seconds per clip, against a plain loop and transformers.

    PYTHONPATH=src python benchmarks/bench_decoding.py

transformers is no dependency: `pip install --target FOLDER transformers`, and add FOLDER to
PYTHONPATH; without it that row is left out. One decoder of random weights (6 layers, d 256, 8
heads, feed-forward 2048, 4371 tokens) captions clips of 31 to 93 frame embeddings, beam 4, by
mean log-probability. A bias on `<eos>`, the same for all, makes captions end after 8 to 20 words.
The three take turns on batches of clips of similar length; the loop gets a few clips of each, and
finds what we find. transformers has the same logits, but gives an end that the limit forces a log p
of 0, which favours captions of 20 words. OMP_WAIT_POLICY=passive keeps waiting threads from
spinning, in all of them.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captioner.decoding.decode import decode_clips
from captioner.decoding.options import DecodingOptions
from captioner.models.checkpoint import LoadedModel
from captioner.models.dims import Dims
from captioner.models.interface import Captioner, Memory
from captioner.models.transformer import Decoder, DecoderState, sinusoids
from captioner.text.vocabulary import EOS, SOS, Vocabulary

N_LAYERS, N_HIDDEN, N_HEADS, N_FEEDFORWARD, N_TOKENS = 6, 256, 8, 2048, 4371
N_EMBEDDING = 768  # of a frame, as of ConvNeXt-Tiny
FRAMES = (31, 93)  # 10 to 30 s at 0.32 s a frame
SOS_INDEX, EOS_INDEX = 0, 1
BEAM_SIZE, MIN_LENGTH, MAX_LENGTH = 4, 8, 20
LOGIT_SPREAD = 3.0  # standard deviation: the best words have probabilities around 0.1

Captions = dict[str, list[int]]


class FrameCaptioner(Captioner[DecoderState]):
    """A projection of frame embeddings and a Transformer decoder."""

    Dims = Dims
    family = "frames"
    padding = "back"
    equal_lengths = False
    autoregressive = True

    def __init__(self, eos_bias: float):
        super().__init__()
        self.projection = nn.Linear(N_EMBEDDING, N_HIDDEN)
        self.embedding = nn.Embedding(N_TOKENS, N_HIDDEN)
        nn.init.normal_(self.embedding.weight, std=N_HIDDEN**-0.5)
        self.decoder = Decoder(N_LAYERS, N_HIDDEN, N_HEADS, N_FEEDFORWARD, dropout=0.2)
        self.classifier = nn.Linear(N_HIDDEN, N_TOKENS)
        nn.init.normal_(self.classifier.weight, std=LOGIT_SPREAD * N_HIDDEN**-0.5)
        nn.init.zeros_(self.classifier.bias)
        self.classifier.bias.data[EOS_INDEX] = eos_bias

    def encode(self, features: dict, n_frames: dict) -> Memory:  # type: ignore[override]
        """Project the frames."""
        values = F.relu(self.projection(features["frames"]))
        mask = torch.arange(values.shape[1]) < n_frames["frames"][:, None]
        return Memory(values, mask)

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens, scaled to unit variance."""
        return self.embedding(tokens) * N_HIDDEN**0.5

    def forward(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Give all logits at once."""
        state = self.decoder.start(memory.values, memory.mask, len(embedded))
        return self.classifier(self.decoder(embedded, state)[0])

    def start(self, memory: Memory, prefix: Tensor, n_beams: int) -> DecoderState:
        """Begin with `<sos>`."""
        return self.decoder.start(memory.values, memory.mask, len(prefix) * n_beams)

    def step(self, state: DecoderState, tokens: Tensor) -> tuple[Tensor, DecoderState]:
        """Feed a word to each row."""
        decoded, state = self.decoder(self.embed(tokens[:, None]), state)
        return self.classifier(decoded[:, 0]), state


class PlainLoop:
    """What one would write first: PyTorch's own decoder, a clip at a time, nothing kept."""

    def __init__(self, model: FrameCaptioner):
        self.model = model
        layer = nn.TransformerDecoderLayer(
            N_HIDDEN, N_HEADS, N_FEEDFORWARD, activation="gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, N_LAYERS, nn.LayerNorm(N_HIDDEN)).eval()
        layers: Any = zip(self.decoder.layers, model.decoder.layers, strict=True)
        for theirs, ours in layers:
            copy_attention(theirs.self_attn, ours.attention)
            copy_attention(theirs.multihead_attn, ours.memory_attention)
            copy(theirs.norm1, ours.attention_norm)
            copy(theirs.norm2, ours.memory_norm)
            copy(theirs.norm3, ours.feedforward_norm)
            copy(theirs.linear1, ours.feedforward[0])
            copy(theirs.linear2, ours.feedforward[3])
        copy(self.decoder.norm, model.decoder.norm)

    @torch.inference_mode()
    def __call__(self, clips: dict[str, np.ndarray]) -> Captions:
        """Caption clips one after the other."""
        return {name: self.caption(torch.from_numpy(frames)) for name, frames in clips.items()}

    def caption(self, frames: Tensor) -> list[int]:
        """Search the caption of one clip, (n_frames, N_EMBEDDING)."""
        memory = F.relu(self.model.projection(frames))
        beams, sums = torch.tensor([[SOS_INDEX]]), torch.zeros(1)
        finished: list[tuple[float, list[int]]] = []
        for n_words in range(MAX_LENGTH + 1):
            words = self.model.embed(beams) + sinusoids(0, n_words + 1, N_HIDDEN, frames.device)
            decoded = self.decoder(
                words,
                memory.expand(len(beams), -1, -1),
                tgt_mask=nn.Transformer.generate_square_subsequent_mask(n_words + 1),
                tgt_is_causal=True,
            )
            log_p = self.model.classifier(decoded[:, -1]).log_softmax(1)
            log_p[:, SOS_INDEX] = -torch.inf
            if n_words < MIN_LENGTH:
                log_p[:, EOS_INDEX] = -torch.inf
            if n_words == MAX_LENGTH:
                log_p[:, EOS_INDEX + 1 :] = -torch.inf
            top = (sums[:, None] + log_p).flatten().topk(2 * BEAM_SIZE)
            parents, tokens = top.indices // N_TOKENS, top.indices % N_TOKENS
            going = []
            for place in range(2 * BEAM_SIZE):
                if tokens[place] != EOS_INDEX:
                    going.append(place)
                elif place < BEAM_SIZE and top.values[place] > -torch.inf:
                    score = top.values[place].item() / (n_words + 1)
                    finished.append((score, beams[parents[place], 1:].tolist()))
            if len(finished) >= BEAM_SIZE:
                break
            going = going[:BEAM_SIZE]
            beams = torch.cat([beams[parents[going]], tokens[going, None]], dim=1)
            sums = top.values[going]
        return max(finished)[1]


class Transformers:
    """`generate` of transformers, for an MBart decoder of the same weights."""

    def __init__(self, model: FrameCaptioner, batch_size: int):
        from transformers import (  # type: ignore[import-not-found]
            MBartConfig,
            MBartForConditionalGeneration,
        )

        config = MBartConfig(
            vocab_size=N_TOKENS,
            d_model=N_HIDDEN,
            encoder_layers=0,
            encoder_attention_heads=N_HEADS,
            decoder_layers=N_LAYERS,
            decoder_attention_heads=N_HEADS,
            decoder_ffn_dim=N_FEEDFORWARD,
            max_position_embeddings=64,
            scale_embedding=True,
            tie_word_embeddings=False,
            bos_token_id=SOS_INDEX,
            eos_token_id=EOS_INDEX,
            pad_token_id=SOS_INDEX,
            decoder_start_token_id=SOS_INDEX,
            forced_eos_token_id=EOS_INDEX,
        )
        self.model, self.batch_size = model, batch_size
        self.peer = MBartForConditionalGeneration(config).eval()
        decoder = self.peer.model.decoder
        layers: Any = zip(decoder.layers, model.decoder.layers, strict=True)
        for theirs, ours in layers:
            copy_projections(theirs.self_attn, ours.attention)
            copy_projections(theirs.encoder_attn, ours.memory_attention)
            copy(theirs.self_attn_layer_norm, ours.attention_norm)
            copy(theirs.encoder_attn_layer_norm, ours.memory_norm)
            copy(theirs.final_layer_norm, ours.feedforward_norm)
            copy(theirs.fc1, ours.feedforward[0])
            copy(theirs.fc2, ours.feedforward[3])
        copy(decoder.layer_norm, model.decoder.norm)
        decoder.layernorm_embedding = nn.Identity()
        positions = decoder.embed_positions
        places = len(positions.weight) - positions.offset
        positions.weight.data[positions.offset :] = sinusoids(
            0, places, N_HIDDEN, torch.device("cpu")
        )
        decoder.embed_tokens.weight.data.copy_(model.embedding.weight)
        self.peer.lm_head.weight.data.copy_(model.classifier.weight)
        self.peer.final_logits_bias.copy_(model.classifier.bias.data)

    @torch.inference_mode()
    def __call__(self, clips: dict[str, np.ndarray]) -> Captions:
        """Caption clips in batches."""
        from transformers.modeling_outputs import (  # type: ignore[import-not-found]
            BaseModelOutput,
        )

        names = sorted(clips, key=lambda name: len(clips[name]))
        captions = {}
        for start in range(0, len(names), self.batch_size):
            batch = names[start : start + self.batch_size]
            frames = nn.utils.rnn.pad_sequence(
                [torch.from_numpy(clips[name]) for name in batch], batch_first=True
            )
            n_frames = torch.tensor([len(clips[name]) for name in batch])
            memory = self.model.encode({"frames": frames}, {"frames": n_frames})
            found = self.peer.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=memory.values),
                attention_mask=memory.mask.long(),
                num_beams=BEAM_SIZE,
                do_sample=False,
                early_stopping=True,
                length_penalty=1.0,
                min_new_tokens=MIN_LENGTH,
                max_new_tokens=MAX_LENGTH + 1,
                suppress_tokens=[SOS_INDEX],
            )
            for name, tokens in zip(batch, found[:, 1:].tolist(), strict=True):
                captions[name] = tokens[: tokens.index(EOS_INDEX)]
        return captions


def copy(theirs: Any, ours: Any) -> None:
    """Copy weight and bias."""
    theirs.load_state_dict(ours.state_dict())


def copy_attention(theirs: Any, ours: Any) -> None:
    """Copy to PyTorch's attention."""
    theirs.in_proj_weight.data = torch.cat([ours.query.weight, ours.key_value.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([ours.query.bias, ours.key_value.bias]).detach()
    copy(theirs.out_proj, ours.output)


def copy_projections(theirs: Any, ours: Any) -> None:
    """Copy to an attention with four projections."""
    copy(theirs.q_proj, ours.query)
    copy(theirs.out_proj, ours.output)
    for place, name in enumerate(("k_proj", "v_proj")):
        projection = getattr(theirs, name)
        projection.weight.data.copy_(ours.key_value.weight.chunk(2)[place])
        projection.bias.data.copy_(ours.key_value.bias.chunk(2)[place])


@dataclass
class Measured:
    """Captions and seconds of one way to decode."""

    decode: Callable[[dict[str, np.ndarray]], Captions]
    captions: Captions = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def turn(self, clips: dict[str, np.ndarray]) -> None:
        """Decode some clips."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.captions |= self.decode(clips)
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


def ours(model: FrameCaptioner, batch_size: int) -> Callable[[dict[str, np.ndarray]], Captions]:
    """Give our decoding of clips."""
    words = [f"word{index}" for index in range(N_TOKENS - 2)]
    vocabulary = Vocabulary([SOS, EOS, *words], [1] * N_TOKENS, {"text_rule": "task"}, [])
    loaded = LoadedModel(model, vocabulary, {"frontends": {"frames": {}}})
    options = DecodingOptions(
        beam_size=BEAM_SIZE, min_length=MIN_LENGTH, max_length=MAX_LENGTH, batch_size=batch_size
    )

    def decode(clips: dict[str, np.ndarray]) -> Captions:
        found = decode_clips(loaded, {"frames": clips}, list(clips), options)
        return {name: hypotheses[0].tokens for name, hypotheses in found.items()}

    return decode


def main() -> None:
    """Take turns and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=1045, help="clips (default 1045)")
    parser.add_argument("--loop-clips", type=int, default=45, help="of them, by the loop")
    parser.add_argument("--batch-size", type=int, default=128, help="clips at once (default 128)")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (default 2)")
    parser.add_argument("--eos-bias", type=float, default=9.0, help="added to the logit of <eos>")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    model = FrameCaptioner(arguments.eos_bias).eval()
    random = np.random.default_rng(1)
    clips = {
        f"{index}.wav": random.standard_normal((length, N_EMBEDDING)).astype(np.float32)
        for index, length in enumerate(
            sorted(random.integers(*FRAMES, arguments.clips, endpoint=True))
        )
    }
    ways = {"ours": Measured(ours(model, arguments.batch_size))}
    try:
        ways["transformers"] = Measured(Transformers(model, arguments.batch_size))
    except ImportError as error:
        print(f"transformers is left out ({error}); the docstring says how to install it")
    loop = ways["loop without cache"] = Measured(PlainLoop(model))
    for way in ways.values():  # once beforehand: threads, imports, first allocations
        way.decode(dict(list(clips.items())[:2]))

    names = list(clips)
    for start in range(0, len(names), arguments.batch_size):
        batch = names[start : start + arguments.batch_size]
        for way in ways.values():
            share = arguments.loop_clips / len(clips) if way is loop else 1
            n = int(np.ceil(share * len(batch)))
            way.turn({name: clips[name] for name in batch[:: len(batch) // n][:n]})
    report(ways, arguments.threads)


def report(ways: dict[str, Measured], threads: int) -> None:
    """Print seconds per clip, and how many times ours that is."""
    own = ways["ours"]
    lengths = [len(words) for words in own.captions.values()]
    low, median, high = np.percentile(lengths, [10, 50, 90])
    print(f"{threads} threads; words a caption: {low:.0f}, {median:.0f}, {high:.0f} (10, 50, 90 %)")
    print("milliseconds per clip, times ours, and how many captions are ours")
    print(f"{'':20}  clips  words     wall      CPU    wall     CPU  same")
    for name, way in ways.items():
        n = len(way.captions)
        ratios = [
            (of_way / n) / (of_own / len(lengths))
            for of_way, of_own in ((way.wall_s, own.wall_s), (way.cpu_s, own.cpu_s))
        ]
        same = sum(own.captions[clip] == words for clip, words in way.captions.items()) / n
        words = sum(map(len, way.captions.values())) / n
        print(
            f"{name:20} {n:6} {words:6.1f} "
            f"{1000 * way.wall_s / n:8.1f} {1000 * way.cpu_s / n:8.1f} "
            f"{ratios[0]:6.1f}x {ratios[1]:6.1f}x {same:5.0%}"
        )


if __name__ == "__main__":
    main()
