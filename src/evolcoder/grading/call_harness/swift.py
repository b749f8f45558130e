"""Swift: MultiPL-E's tests are `assert(result == value)` at the top level of the program.

The expected value gets the function's return type, which the prompt declares. Strings are equal
under canonical equivalence; numbers in an `AnyHashable` are equal by value. The serialiser uses
`Mirror` for tuples, collections, optionals and enumerations; a structure or a class equals nothing.
"""

import re

from evolcoder.grading.call_harness.base import CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import AssertForm

_SERIALISER = r"""
import Foundation
enum NAME {
    static let answers = Foundation.FileHandle(fileDescriptor: 3, closeOnDealloc: false)

    static func escaped(_ byte: Swift.UInt8) -> Swift.String {
        if byte >= 32 && byte < 127 && byte != 34 && byte != 92 {
            return Swift.String(Swift.Character(Swift.Unicode.Scalar(byte)))
        }
        return "\\x" + Swift.String(Swift.String(Swift.Int(byte) + 256, radix: 16).dropFirst())
    }

    static func quoted(_ mark: Swift.String, _ value: Swift.String) -> Swift.String {
        let bytes = value.precomposedStringWithCanonicalMapping.utf8
        return mark + "\"" + bytes.map(escaped).joined() + "\""
    }

    static func number(_ value: Swift.Double) -> Swift.String {
        if value.isNaN { OPAQUE }
        if let whole = Swift.Int64(exactly: value) { return "\(whole)" }
        return "\(value)"
    }

    static func scalar(_ value: Any) -> Swift.String? {
        switch value {
        case let found as Swift.Bool: return found ? "true" : "false"
        case let found as Swift.String: return quoted("", found)
        case let found as Swift.Substring: return quoted("", Swift.String(found))
        case let found as Swift.Character: return quoted("'", Swift.String(found))
        case let found as Swift.Double: return number(found)
        case let found as Swift.Float: return number(Swift.Double(found))
        default: return whole(value)
        }
    }

    static func whole(_ value: Any) -> Swift.String? {
        switch value {
        case let found as Swift.Int: return "\(found)"
        case let found as Swift.Int64: return "\(found)"
        case let found as Swift.Int32: return "\(found)"
        case let found as Swift.Int16: return "\(found)"
        case let found as Swift.Int8: return "\(found)"
        case let found as Swift.UInt: return "\(found)"
        case let found as Swift.UInt64: return "\(found)"
        case let found as Swift.UInt32: return "\(found)"
        case let found as Swift.UInt16: return "\(found)"
        case let found as Swift.UInt8: return "\(found)"
        default: return nil
        }
    }

    static func enumerated(_ value: Any, _ mirror: Swift.Mirror) -> Swift.String {
        guard let child = mirror.children.first else {
            return quoted(".", Swift.String(describing: value))
        }
        return quoted(".", child.label ?? "") + " " + text(child.value)
    }

    static func text(_ value: Any) -> Swift.String {
        if type(of: value) == Swift.AnyHashable.self, let found = value as? Swift.AnyHashable {
            return text(found.base)
        }
        let mirror = Swift.Mirror(reflecting: value)
        if mirror.displayStyle == .optional {
            guard let child = mirror.children.first else { return "nil" }
            return text(child.value)
        }
        if let found = scalar(value) { return found }
        let items = mirror.children.map { text($0.value) + " " }
        switch mirror.displayStyle {
        case .some(.tuple): return "( " + items.joined() + ")"
        case .some(.collection): return "[ " + items.joined() + "]"
        case .some(.set): return "< " + items.sorted().joined() + ">"
        case .some(.dictionary): return "{ " + items.sorted().joined() + "}"
        case .some(.enum): return enumerated(value, mirror)
        default: OPAQUE
        }
    }

    static func line<T>(_ value: T) {
        answers.write((text(value) + "\n").data(using: .utf8)!)
    }
}
"""
_FORM = AssertForm(
    head=(
        r"\s*\}\s*(?:func ==\(left: \[\(Int, Int\)\], right: \[\(Int, Int\)\]\) -> Bool \{"
        r"[^=]*(?:!=[^=]*)*\n\}\s*)?"
    ),
    opening=r"assert\(",
    relations={"": r"\s*==(?!=)"},
    ending=r"[ \t]*\n?",
)
_RESULT = re.compile(r"\)\s*(?:throws\s*)?->\s*([^{}]+?)\s*\{\s*$")
"""The return type of the function that a prompt leaves open."""
_SIGNATURE = re.compile(r"(?m)^func [^\n]*\s*\Z")


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Put the serialiser before the candidate and the calls after it."""
    name = fresh_name("H")
    calls = [f"{name}.line({check.call})" for check in test.comparisons]
    serialiser = _SERIALISER.replace("NAME", name).replace("OPAQUE", 'return "?"')
    return "\n".join([serialiser, candidate, test.head, *calls, ""])


def _expected_program(prompt: str, test: SplitTest) -> str:
    """Serialise the expected values as the return type, after the prompt's own types."""
    result = _RESULT.search(prompt)
    cast = f" as {result[1]}" if result else ""
    values = [f"Expected.line(({check.expected}){cast})" for check in test.comparisons]
    serialiser = _SERIALISER.replace("NAME", "Expected").replace("OPAQUE", 'fatalError("opaque")')
    return "\n".join([serialiser, _SIGNATURE.sub("", prompt), *values, ""])


HARNESS = CallHarness("swift", _FORM.split, _calling_program, _expected_program)
