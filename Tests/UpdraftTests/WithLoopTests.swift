import Testing
import Updraft
import UpdraftTesting

@Suite struct WithLoopTests {
    @Test func returnsTheBodysValue() async throws {
        let value = try await withLoop { loop in
            try await loop.sleep(for: .milliseconds(1))
            return 42
        }
        #expect(value == 42)
    }

    @Test func throwsTheBodysError() async throws {
        struct Broken: Error {}
        await #expect(throws: Broken.self) {
            try await withLoop { _ in throw Broken() }
        }
    }

    @Test func endsABodyThatWaitsForEver() async throws {
        await #expect(throws: TimeoutError.self) {
            try await withLoop(timeLimit: .milliseconds(20)) { loop in
                try await loop.sleep(for: .seconds(3_600))
            }
        }
    }
}
