import CTestAtomics
import Testing
import Updraft
import UpdraftTesting

/// What a piece of work costs: of several rounds the least, since now and then the allocator or the
/// runtime makes room.
struct AtomicsCount: CustomStringConvertible {
    var atomics = Int.max
    var retains = Int.max
    var releases = Int.max
    /// Where the atomics of the cheapest round stood, and who had called what they stood in.
    private var places: [String] = []

    private mutating func add(_ counts: ta_counts) {
        if Int(counts.atomics) < atomics { places = Self.places(of: counts) }
        atomics = min(atomics, Int(counts.atomics))
        retains = min(retains, Int(counts.retains))
        releases = min(releases, Int(counts.releases))
    }

    /// Whether it is no more than the other, and so much.
    func isAtMost(_ other: AtomicsCount, andAtomics more: Int = 0) -> Bool {
        atomics <= other.atomics + more && retains <= other.retains + more
            && releases <= other.releases + more
    }

    var isNone: Bool { atomics == 0 && retains == 0 && releases == 0 }

    var description: String {
        "\(atomics) atomics, \(retains) retains, \(releases) releases: \(places)"
    }

    /// Of rounds; before them come some that fill caches.
    private static let counted = 3
    private static let uncounted = 3

    @inline(never)
    static func of(_ body: () throws -> Void) rethrows -> AtomicsCount {
        var count = AtomicsCount()
        for _ in 0..<uncounted { try body() }
        for _ in 0..<counted {
            ta_begin()
            do {
                try body()
            } catch {
                _ = ta_end()
                throw error
            }
            let counts = ta_end()
            count.add(counts)
        }
        return count
    }

    /// The language itself looks after a closure's return whether the task is on its loop, unless
    /// the compiler knows the closure: that is atomic, and counted too.
    @inline(never)
    nonisolated(nonsending) static func of(
        _ body: nonisolated(nonsending) () async throws -> Void
    ) async throws -> AtomicsCount {
        var count = AtomicsCount()
        for _ in 0..<uncounted { try await body() }
        for _ in 0..<counted {
            ta_begin()
            do {
                try await body()
            } catch {
                _ = ta_end()
                throw error
            }
            let counts = ta_end()
            count.add(counts)
        }
        return count
    }

    private static func places(of counts: ta_counts) -> [String] {
        func text(_ address: UnsafeMutableRawPointer?) -> String {
            var buffer = [CChar](repeating: 0, count: 256)
            ta_place(address, &buffer, buffer.count)
            return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        }
        return withUnsafeBytes(of: counts.places) { places in
            withUnsafeBytes(of: counts.callers) { callers in
                let pairs = zip(
                    places.bindMemory(to: UnsafeMutableRawPointer?.self),
                    callers.bindMemory(to: UnsafeMutableRawPointer?.self))
                return pairs.prefix(Int(counts.atomics)).map { "\(text($0)) < \(text($1))" }
            }
        }
    }
}

extension Trait where Self == ConditionTrait {
    /// For tests that count: without optimisation references are counted everywhere.
    static var countsAtomics: Self {
        .enabled("counts in optimised builds on x86-64 Linux") {
            var isOptimised = true
            assert(
                {
                    isOptimised = false
                    return true
                }())
            // Once is enough: the poller plays no part in it, and each step of it takes its time.
            return isOptimised && ta_can_count() && PollerKind.named == nil
        }
    }
}
