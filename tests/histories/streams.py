"""What `git fast-import` reads to make a repository of a case."""

from collections.abc import Iterable

from tests.histories.model import Case, File, Kind

WHEN = 1767225600  # 2026-01-01, a second more for each commit


def stream(case: Case) -> bytes:
    """The repository as `git fast-import` reads it."""
    out = [b"feature done\n"]
    for number, node in enumerate(case.nodes):
        out.append(b"reset refs/work\n\ncommit refs/work\nmark :%d\n" % (number + 1))
        out.append(b"committer Ada <ada@lab> %d +0000\n%s" % (WHEN + number, _data(node.message.encode())))
        for word, parent in zip([b"from", *[b"merge"] * 9], node.parents, strict=False):
            out.append(b"%s :%d\n" % (word, parent + 1))
        out.append(b"deleteall\n")
        out += [_entry(each) for each in node.tree.values()]
    heads = {"main": case.main, **case.branches} | ({} if case.develop is None else {"develop": case.develop})
    out += [b"reset refs/heads/%s\nfrom :%d\n" % (name.encode(), node + 1) for name, node in heads.items()]
    for tag, (node_number, annotated) in case.tags.items():
        if annotated:
            out.append(b"tag %s\nfrom :%d\n" % (tag.encode(), node_number + 1))
            out.append(b"tagger Ada <ada@lab> %d +0000\n%s" % (WHEN, _data(tag.encode())))
        else:
            out.append(b"reset refs/tags/%s\nfrom :%d\n" % (tag.encode(), node_number + 1))
    return b"".join([*out, b"done\n"])


def stream_on_top(branch: str, commit: str, changed: Iterable[File], message: str) -> bytes:
    """One more commit on a branch that is at a commit, as `git fast-import` reads it."""
    head = f"commit refs/heads/{branch}\ncommitter Ada <ada@lab> {WHEN + 10**6} +0000\n".encode()
    return head + _data(message.encode()) + f"from {commit}\n".encode() + b"".join(map(_entry, changed))


def _entry(file: File) -> bytes:
    path = file.path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    if file.kind is Kind.SUBMODULE:
        return b'M 160000 %s "%s"\n' % (file.content, path)
    return b'M %s inline "%s"\n%s' % (file.mode.encode(), path, _data(file.content))


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
