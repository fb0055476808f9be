"""PyTorch's files without PyTorch: PyTorch writes them, and is the oracle."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jiaa.models.torch_files import read_torch
from jiaa.models.torch_pickles import STORAGES, TorchFileError

FORMS = ["zip", "stream"]
DTYPES = """bfloat16 bool uint8 int8 complex128 complex64 float64 float32 float16 int32
int64 int16""".split()


def save(torch, state, path, form, **options):
    zipped = form == "zip"
    torch.save(state, path, _use_new_zipfile_serialization=zipped, **options)
    return path


def as_array(torch, tensor):
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy().astype(ml_dtypes.bfloat16)
    return tensor.numpy()


def assert_same(torch, found, state):
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        expected = as_array(torch, tensor)
        assert found[name].dtype == expected.dtype, name
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


@pytest.fixture(scope="module")
def state(torch):
    """Every dtype, and every way to look at a storage."""
    numbers = torch.arange(24.0)
    shared = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    views = {
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "transposed": shared.T,
        "sliced": shared[1:5:2, 2:],
        "offset": shared[3],
        "shared": shared,
        "expanded": numbers[3:4].expand(3, 2),
        "windows": numbers.unfold(0, 3, 2),
        "parameter": torch.nn.Parameter(shared.clone()),
        "frozen": torch.nn.Parameter(shared.clone(), requires_grad=False),
    }
    kinds = {d: (numbers / 7).to(getattr(torch, d)).reshape(4, 6) for d in DTYPES}
    return {**views, **kinds}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", FORMS)
def test_every_dtype_and_view_is_read_as_it_was_saved(
    torch, tmp_path, state, form, protocol
):
    path = save(torch, state, tmp_path / "a.pth", form, pickle_protocol=protocol)
    assert_same(torch, read_torch(path), state)
    assert len(STORAGES) == len(DTYPES)


@pytest.mark.parametrize("form", FORMS)
def test_the_state_dict_of_a_module_is_found_in_a_training_programs_file(
    torch, tmp_path, form
):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = module.state_dict()  # an OrderedDict with attributes of its own
    adam = torch.optim.Adam(module.parameters())
    module(torch.zeros(2, 3, 4, 4)).sum().backward()
    adam.step()
    kept = {
        "optimizer": adam.state_dict(),
        "epoch": 3,
        "best": None,
        "args": [1.5, "x"],
    }
    parallel = OrderedDict((f"module.{name}", x) for name, x in state.items())
    for content in (state, {"state_dict": parallel, **kept}, {"model": state, **kept}):
        path = save(torch, content, tmp_path / "a.pth", form)
        assert_same(torch, read_torch(path), state)


class Evil:
    """Calls `function` where a pickle is loaded by Python."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def called(*arguments):
    raise AssertionError("a pickle ran code")


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", FORMS)
def test_any_other_name_is_an_error_that_says_which(torch, tmp_path, form, protocol):
    hostile = {
        "builtins.eval": Evil(eval, "called()"),
        "torch.storage._load_from_bytes": Evil(torch.storage._load_from_bytes, b""),
        "torch._utils._rebuild_tensor": Evil(torch._utils._rebuild_tensor, 1),
        "torch.nn.modules.linear.Linear": torch.nn.Linear(2, 2),
        "torch.float32": torch.float32,
        "collections.Counter": Evil(__import__("collections").Counter, ()),
    }
    if protocol == 2:  # what Python 3 calls builtins was named otherwise
        hostile["__builtin__.eval"] = hostile.pop("builtins.eval")
    for name, value in hostile.items():
        content = {"weight": torch.zeros(2), "more": value}
        path = save(torch, content, tmp_path / "a.pth", form, pickle_protocol=protocol)
        with pytest.raises(TorchFileError, match=r"a\.pth holds more than") as raised:
            read_torch(path)
        if name != "torch.float32":
            assert f"it names {name}, which is not run" in str(raised.value)


def stream(pickled, *storages, system=None, keys=None):
    """A file of the older form around the bytes of a pickle."""
    system = {"little_endian": True} if system is None else system
    head = [0x1950A86A20F9469CFC6C, 1001, system]
    keys = [key for key, _ in storages] if keys is None else keys
    parts = [pickle.dumps(x, 2) for x in head] + [pickled, pickle.dumps(keys, 2)]
    for _, numbers in storages:
        parts += [struct.pack("<q", len(numbers) // 4), numbers]
    return b"".join(parts)


def tensor_pickle(
    *,
    size=(2,),
    strides=(1,),
    offset=0,
    numel=2,
    key="0",
    kind="FloatStorage",
    more=b"",
):
    """The pickle of {"a": tensor}, byte by byte, as `torch.save` writes it."""

    def dump(value):
        return pickle.dumps(value, 2)[2:-1]

    storage = b"(" + dump("storage") + b"ctorch\n" + kind.encode() + b"\n"
    storage += dump(key) + dump("cpu") + dump(numel) + b"tQ"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + dump(offset)
    call += dump(size) + dump(strides) + dump(False) + b"}tR"
    return b"\x80\x02}" + dump("a") + call + b"s" + more + b"."


TWO = np.float32([1, 2]).tobytes()


def test_the_bytes_of_the_older_form_by_hand(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(stream(tensor_pickle(), ("0", TWO)))
    np.testing.assert_array_equal(read_torch(path)["a"], [1, 2])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": (3,)}, "reaches behind its storage"),
        ({"offset": 1}, "reaches behind its storage"),
        ({"size": (2, 2), "strides": (1, 1)}, "reaches behind its storage"),
        ({"size": (2,), "strides": (2,)}, "reaches behind its storage"),
        ({"size": (2**62,), "strides": (2**62,)}, "reaches behind its storage"),
        ({"size": (2**62, 2**62), "strides": (0, 0)}, "ValueError"),
        ({"offset": -1}, "of offset -1"),
        ({"size": (-1,)}, "size"),
        ({"strides": (-1,)}, "strides"),
        ({"strides": ()}, "strides"),
        ({"size": (2.0,)}, "no view of a storage"),
        ({"numel": 3}, "has 2 numbers"),
        ({"numel": 10**15}, "has 2 numbers"),
        ({"numel": -2}, "storage '0' of -2"),
        ({"key": "1"}, "'0'"),
        ({"kind": "OrderedDict"}, "torch.OrderedDict"),
        ({"more": b"K\x01\x85K\x02b"}, "attributes of tuple"),
        ({"more": b"0"}, "opcode POP"),
        ({"more": b"\x82\x01"}, "opcode EXT1"),
        ({"more": b"(ccollections\nOrderedDict\no"}, "opcode OBJ"),
        ({"more": b"K\x01)R"}, "no function"),
        ({"more": b"))s"}, "key of type tuple"),
        ({"more": b"h\x09"}, "KeyError"),
        ({"more": b"e"}, "IndexError"),
    ],
)
def test_a_file_whose_sizes_or_opcodes_lie_is_an_error(tmp_path, change, reason):
    path = tmp_path / "a.pth"
    path.write_bytes(stream(tensor_pickle(**change), ("0", TWO)))
    with pytest.raises(TorchFileError, match=rf"a\.pth .*({reason})"):
        read_torch(path)


def test_one_storage_of_two_lengths_is_an_error(tmp_path):
    first, second = tensor_pickle()[2:-1], tensor_pickle(numel=1)[2:-1]
    path = tmp_path / "a.pth"
    path.write_bytes(stream(b"\x80\x02(" + first + second + b"l.", ("0", TWO)))
    with pytest.raises(TorchFileError, match="is two things"):
        read_torch(path)


def test_storages_that_the_stream_states_but_does_not_hold_are_an_error(tmp_path):
    path = tmp_path / "a.pth"
    content = stream(tensor_pickle(numel=2**40), ("0", TWO))
    path.write_bytes(content[:-16] + struct.pack("<q", 2**40) + TWO)
    with pytest.raises(TorchFileError, match="ends behind the file"):
        read_torch(path)
    path.write_bytes(stream(tensor_pickle(), ("0", TWO), keys=["0", "0"]))
    with pytest.raises(TorchFileError, match="no complete torch file"):
        read_torch(path)
    path.write_bytes(stream(tensor_pickle(), keys=[]))
    with pytest.raises(TorchFileError, match="no complete torch file"):
        read_torch(path)


def test_a_big_endian_file_is_named(torch, tmp_path, state):
    path = tmp_path / "a.pth"
    path.write_bytes(
        stream(tensor_pickle(), ("0", TWO), system={"little_endian": False})
    )
    with pytest.raises(TorchFileError, match="big-endian"):
        read_torch(path)
    save(torch, state, tmp_path / "b.pth", "zip")
    repack(tmp_path / "b.pth", path, {"byteorder": b"big"})
    with pytest.raises(TorchFileError, match="big-endian"):
        read_torch(path)


def repack(source, target, changes, compression=zipfile.ZIP_STORED):
    """The archive again, with the content of some members changed."""
    with (
        zipfile.ZipFile(source) as archive,
        zipfile.ZipFile(target, "w", compression) as new,
    ):
        for name in archive.namelist():
            change = changes.get(name.split("/", 1)[1])
            new.writestr(name, archive.read(name) if change is None else change)


def test_an_archive_whose_members_do_not_fit_is_an_error(torch, tmp_path, state):
    source, path = save(torch, state, tmp_path / "a.pth", "zip"), tmp_path / "b.pth"
    repack(source, path, {})
    assert_same(torch, read_torch(path), state)
    repack(source, path, {"data/0": b"12"})
    with pytest.raises(TorchFileError, match="has 2 bytes"):
        read_torch(path)
    repack(source, path, {}, zipfile.ZIP_DEFLATED)
    with pytest.raises(TorchFileError, match="compressed, or larger"):
        read_torch(path)
    repack(source, path, {"version": b"", "data.pkl": b"\x80\x02}."})
    assert read_torch(path) == {}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b".")
        archive.writestr("b/data.pkl", b".")
    with pytest.raises(TorchFileError, match="2 members named"):
        read_torch(path)


def test_what_is_no_state_dict_is_said_to_be_none(torch, tmp_path):
    for content in ([torch.zeros(3)], torch.zeros(3), {"a": 1}, {"a": {"b": 2}}):
        save(torch, content, tmp_path / "a.pth", "zip")
        with pytest.raises(TorchFileError, match=r"a\.pth is no state dict"):
            read_torch(tmp_path / "a.pth")
    with pytest.raises(FileNotFoundError):
        read_torch(tmp_path / "absent.pth")
    for content in (b"", b"PK", b"PK\x03\x04", b"<html>404 Not Found</html>", b"."):
        (tmp_path / "a.pth").write_bytes(content)
        with pytest.raises(TorchFileError, match="no complete torch file"):
            read_torch(tmp_path / "a.pth")


@pytest.fixture(scope="module")
def small_files(torch):
    """One small state dict in both forms, as bytes."""
    weight = torch.arange(6.0).reshape(2, 3)
    state = OrderedDict(a=weight, b=weight.T, c=torch.tensor(7), d=weight.half())
    found = {}
    for form in FORMS:
        buffer = io.BytesIO()
        save(torch, state, buffer, form)
        found[form] = buffer.getvalue()
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_is_an_error(tmp_path, small_files, form):
    content, path = small_files[form], tmp_path / "a.pth"
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(TorchFileError, match=r"a\.pth"):
            read_torch(path)


quick = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("form", FORMS)
@quick
@given(data=st.data())
def test_a_damaged_byte_ends_in_arrays_or_in_one_error(
    tmp_path, small_files, form, data
):
    content, path = bytearray(small_files[form]), tmp_path / "a.pth"
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.integers(0, 255)
        )
    path.write_bytes(content)
    try:
        found = read_torch(path)
    except TorchFileError:
        pass
    else:
        assert all(isinstance(x, np.ndarray) for x in found.values())
