"""The structs of Go Spago, and those of users."""

from __future__ import annotations

import re

from spago.nn.gob._reader import REGISTERED
from spago.nn.gob._types import Type, declare_struct

# All exported fields in the order of their declarations. Every struct begins with the embedded, empty nn.Module, save
# those whose name has an equals sign behind it. Structs are listed after those that they contain.
_SPAGO = """
linear.Model: W nn.Param, B nn.Param
highway.Model: WIn nn.Param, BIn nn.Param, WT nn.Param, BT nn.Param, Activation int
activation.Model: Activation int, Params []nn.Param
dropout.Model: P float64
flatten.Model:
pooling.MaxPooling: Rows int, Columns int
crf.Model: Size int, TransitionScores nn.Param
sqrdist.Model: B nn.Param
birnn.Model: Positive any, Negative any, MergeMode int
conv1x1.Config= InputChannels int, OutputChannels int
conv1x1.Model: Config conv1x1.Config, W nn.Param, B nn.Param
convolution1d.Config= KernelSizeX int, KernelSizeY int, YStride int, InputChannels int, OutputChannels int, \
Mask []int, DepthWise bool, Activation int
convolution1d.Model: Config convolution1d.Config, K []nn.Param, B []nn.Param
convolution2d.Config= KernelSizeX int, KernelSizeY int, XStride int, YStride int, InputChannels int, \
OutputChannels int, Mask []int, DepthWise bool, Activation int
convolution2d.Model: Config convolution2d.Config, K []nn.Param, B []nn.Param
lstm.Model: UseRefinedGates bool, WIn nn.Param, WInRec nn.Param, BIn nn.Param, WOut nn.Param, WOutRec nn.Param, \
BOut nn.Param, WFor nn.Param, WForRec nn.Param, BFor nn.Param, WCand nn.Param, WCandRec nn.Param, BCand nn.Param
gru.Model: WPart nn.Param, WPartRec nn.Param, BPart nn.Param, WRes nn.Param, WResRec nn.Param, BRes nn.Param, \
WCand nn.Param, WCandRec nn.Param, BCand nn.Param
srn.Model: W nn.Param, WRec nn.Param, B nn.Param
cfn.Model: WIn nn.Param, WInRec nn.Param, BIn nn.Param, WFor nn.Param, WForRec nn.Param, BFor nn.Param, WCand nn.Param
ran.Model: WIn nn.Param, WInRec nn.Param, BIn nn.Param, WFor nn.Param, WForRec nn.Param, BFor nn.Param, \
WCand nn.Param, BCand nn.Param
ltm.Model: W1 nn.Param, W2 nn.Param, W3 nn.Param, WCell nn.Param
tpr.Model: WInS nn.Param, WInR nn.Param, WRecS nn.Param, WRecR nn.Param, BS nn.Param, BR nn.Param, S nn.Param, \
R nn.Param
horn.Model: W nn.Param, WRec []nn.Param, B nn.Param
indrnn.Model: W nn.Param, WRec nn.Param, B nn.Param, Activation int
deltarnn.Model: W nn.Param, WRec nn.Param, B nn.Param, BPart nn.Param, Alpha nn.Param, Beta1 nn.Param, Beta2 nn.Param
mist.Model: Wx nn.Param, Wh nn.Param, B nn.Param, Wax nn.Param, Wah nn.Param, Ba nn.Param, Wrx nn.Param, \
Wrh nn.Param, Br nn.Param, NumOfDelays int
rla.Config= InputSize int
rla.Model: Config rla.Config, Wk nn.Param, Bk nn.Param, Wv nn.Param, Bv nn.Param, Wq nn.Param, Bq nn.Param
layernorm.Model: W nn.Param, B nn.Param, Eps *nn.Buffer
batchnorm.Model: W nn.Param, B nn.Param, Mean *nn.Buffer, StdDev *nn.Buffer, Momentum *nn.Buffer
rmsnorm.Model: W nn.Param, B nn.Param
scalenorm.Model: Gain nn.Param
adanorm.Model: Scale *nn.Buffer
fixnorm.Model:
layernormsimple.Model:
srnn.Config= InputSize int, HiddenSize int, NumLayers int, HyperSize int, OutputSize int, MultiHead bool
srnn.Model: Config srnn.Config, FC []any, FC2 linear.Model, FC3 linear.Model
srnn.BiModel: Config srnn.Config, FC []any, FC2 linear.Model, FC3 linear.Model, LayerNorm layernorm.Model
slstm.Config= InputSize int, OutputSize int, Steps int
slstm.HyperLinear4: W nn.Param, U nn.Param, V nn.Param, B nn.Param
slstm.HyperLinear3: W nn.Param, U nn.Param, B nn.Param
slstm.Model: Config slstm.Config, InputGate slstm.HyperLinear4, LeftCellGate slstm.HyperLinear4, \
RightCellGate slstm.HyperLinear4, CellGate slstm.HyperLinear4, SentCellGate slstm.HyperLinear4, \
OutputGate slstm.HyperLinear4, InputActivation slstm.HyperLinear4, NonLocalSentCellGate slstm.HyperLinear3, \
NonLocalInputGate slstm.HyperLinear3, NonLocalSentOutputGate slstm.HyperLinear3, StartH nn.Param, EndH nn.Param, \
InitValue nn.Param
selfattention.Config= InputSize int, QuerySize int, KeySize int, ValueSize int, ScaleFactor float64, \
UseCausalMask bool, IsCrossAttention bool
selfattention.Model: Config selfattention.Config, Query linear.Model, Key linear.Model, Value linear.Model, \
ScaleFactor *nn.Buffer
selfattention.SelfAttention= Model selfattention.Model
selfattention.CrossAttention= Model selfattention.Model
multiheadattention.Model: Heads []selfattention.Model, OutputMerge linear.Model
multiheadattention.SelfAttention= Model multiheadattention.Model
multiheadattention.CrossAttention= Model multiheadattention.Model
gmlp.Config= Dim int, Depth int, SeqLen int, FFMult int, Activation int
gmlp.Model: Config gmlp.Config, Layers []any
gmlp.Block: Layers []any
gmlp.PreNorm: Block gmlp.Block, Norm layernorm.Model
gmlp.Residual: PreNorm gmlp.PreNorm
sgu.Config= Dim int, DimSeq int, InitEps float64, Activation int
sgu.Model: Config sgu.Config, Norm layernorm.Model, Proj conv1x1.Model, Act activation.Model
mlpmixer.Config= InputSize int, HiddenSizeTokenMixer int, HiddenSizeChannelMixer int, Channels int, \
ActFunctionTokenMixer int, ActFunctionChannelMixer int, Eps float64
mlpmixer.FeedForward: Layers []any
mlpmixer.MixerBlock: Config mlpmixer.Config, TokenLayerNorm layernorm.Model, TokenMixerFF mlpmixer.FeedForward, \
ChannelLayerNorm layernorm.Model, ChannelMixerFF mlpmixer.FeedForward
embeddings.Config= Size int, UseZeroEmbedding bool, StoreName string, Trainable bool
embeddings.Model[string]: Config embeddings.Config, ZeroEmbedding nn.Param, Store any
embeddings.Model[[]uint8]: Config embeddings.Config, ZeroEmbedding nn.Param, Store any
"""
# Never the content of an interface.
_NOT_REGISTERED = ("nn.Module", "mlpmixer.FeedForward", "slstm.HyperLinear3", "slstm.HyperLinear4")


def declare(name: str, fields: dict[str, str]) -> Type:
    """Make a struct of a Go program known, so that files with it are checked, and can be written.

    Args:
        name: Its registered name: `*main.Tagger` where Go registers a pointer, which models are; the import path, a dot
            and the type for values, such as `example.org/toys.Scale`. A struct that no interface holds may have any.
        fields: Go types by field name: all exported fields in the order of the declaration, the embedded `Module`
            included; see `go_type`.

    Returns:
        The type, for `Struct`.

    Raises:
        ValueError: A type is not known.

    Examples:
        >>> from spago.nn import gob
        >>> kind = gob.declare("*main.Tagger", {"Module": "nn.Module", "Output": "*linear.Model", "Labels": "[]string"})
        >>> gob.Struct(kind)["Labels"]
        []
    """
    kind = declare_struct(name.rsplit("/", 1)[-1].lstrip("*"), fields)
    REGISTERED[name] = kind
    return kind


def _declare_spago() -> None:
    for line in _SPAGO.strip().splitlines():
        match = re.fullmatch(r"(\S+?)([:=]) ?(.*)", line)
        assert match is not None
        name, mark, listed = match.groups()
        pairs = [field.partition(" ") for field in listed.split(", ") if field]
        fields = {field: kind for field, _, kind in pairs}
        if mark == ":":
            fields = {"Module": "nn.Module"} | fields
        kind = declare_struct(name, fields)
        if name not in _NOT_REGISTERED and not name.endswith(".Config"):
            REGISTERED[f"*{name}"] = kind


REGISTERED["*nn.Module"] = declare_struct("nn.Module", {})
_declare_spago()
SPAGO = tuple(REGISTERED)
"""The names under which Go Spago registers its structs."""
