// The one piece of machine code in this repository: the body of the SIGBUS handler that guard.ts installs, as bytes, for
// x86-64 and arm64, an instruction a line with what it does. A handler runs between any two instructions of any thread, so
// it can be neither JavaScript nor a callback of koffi. It is called as handler(sig, siginfo, ucontext), touches no memory
// but its table (64 KiB behind its first byte, layout in guard.ts) and its stack, calls nothing, and makes one system call:
// mmap of zero memory over the whole range that the faulting address lies in. A fault anywhere else goes to the handler
// that was there before, or gets the default action. Made by llvm-mc from the instructions in the comments.

// biome-ignore format: one instruction a line, in columns
export const X86_64: readonly string[] = [
  "f3 0f 1e fa",             // endbr64                      an indirect branch may land here
  "83 7e 08 02",             // cmp [rsi + 8], 2             si_code: BUS_ADRERR, a page behind the end of its file
  "75 63",                   // jne other
  "48 8b 46 10",             // mov rax, [rsi + 16]          si_addr: the address that was touched
  "48 8d 0d eb ff 00 00",    // lea rcx, [table]
  "4c 8b 41 08",             // mov r8, [rcx + 8]            entries
  "48 83 c1 20",             // add rcx, 32
  // next:
  "4d 85 c0",                // test r8, r8                  none is left: it is in no guarded range
  "74 4b",                   // je other
  "48 3b 01",                // cmp rax, [rcx]               below its first byte?
  "72 06",                   // jb skip
  "48 3b 41 08",             // cmp rax, [rcx + 8]           below its end?
  "72 09",                   // jb ours
  // skip:
  "48 83 c1 20",             // add rcx, 32
  "49 ff c8",                // dec r8
  "eb e7",                   // jmp next
  // ours:
  "57",                      // push rdi                     the arguments, for a predecessor
  "56",                      // push rsi
  "52",                      // push rdx
  "f0 48 ff 41 10",          // lock inc [rcx + 16]          one more hit, visible to the main thread
  "48 8b 39",                // mov rdi, [rcx]               mmap: address
  "48 8b 71 08",             // mov rsi, [rcx + 8]
  "48 29 fe",                // sub rsi, rdi                 mmap: length
  "ba 03 00 00 00",          // mov edx, 3                   mmap: PROT_READ | PROT_WRITE
  "41 ba 32 40 00 00",       // mov r10d, 0x4032 mmap: MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE
  "49 c7 c0 ff ff ff ff",    // mov r8, -1                   mmap: no file
  "45 31 c9",                // xor r9d, r9d                 mmap: offset
  "b8 09 00 00 00",          // mov eax, 9                   __NR_mmap
  "0f 05",                   // syscall
  "48 39 f8",                // cmp rax, rdi                 the kernel gave what was asked for
  "5a",                      // pop rdx
  "5e",                      // pop rsi
  "5f",                      // pop rdi
  "75 01",                   // jne other
  "c3",                      // ret                          and the instruction that faulted runs again
  // other:
  "48 8b 05 8c ff 00 00",    // mov rax, [table]             the handler before ours
  "48 83 f8 01",             // cmp rax, 1                   SIG_DFL or SIG_IGN
  "76 02",                   // jbe default
  "ff e0",                   // jmp rax                      it takes over, with our arguments and return address
  // default:
  "49 89 f0",                // mov r8, rsi                  siginfo
  "48 83 ec 28",             // sub rsp, 40                  struct kernel_sigaction: all 0 is SIG_DFL
  "31 c0",                   // xor eax, eax
  "48 89 04 24",             // mov [rsp], rax
  "48 89 44 24 08",          // mov [rsp + 8], rax
  "48 89 44 24 10",          // mov [rsp + 16], rax
  "48 89 44 24 18",          // mov [rsp + 24], rax
  "48 89 e6",                // mov rsi, rsp                 rt_sigaction: the new action
  "31 d2",                   // xor edx, edx                 rt_sigaction: the old one is not wanted
  "41 ba 08 00 00 00",       // mov r10d, 8                  rt_sigaction: bytes of a signal set
  "b8 0d 00 00 00",          // mov eax, 13                  __NR_rt_sigaction
  "0f 05",                   // syscall
  "48 83 c4 28",             // add rsp, 40
  "41 83 78 08 00",          // cmp [r8 + 8], 0              si_code: from the kernel?
  "7f 12",                   // jg done                      then the fault repeats, and kills
  "89 fe",                   // mov esi, edi                 it was sent: send it again
  "b8 27 00 00 00",          // mov eax, 39                  __NR_getpid
  "0f 05",                   // syscall
  "89 c7",                   // mov edi, eax
  "b8 3e 00 00 00",          // mov eax, 62                  __NR_kill
  "0f 05",                   // syscall
  // done:
  "c3",                      // ret
];

// biome-ignore format: one instruction a line, in columns
export const ARM64: readonly string[] = [
  "5f 24 03 d5",             // bti c                        an indirect branch may land here
  "23 08 40 b9",             // ldr w3, [x1,
  "7f 08 00 71",             // cmp w3,
  "a1 04 00 54",             // b.ne other
  "23 08 40 f9",             // ldr x3, [x1,
  "64 ff 07 10",             // adr x4,
  "85 04 40 f9",             // ldr x5, [x4,
  "84 80 00 91",             // add x4, x4,
  // next:
  "05 04 00 b4",             // cbz x5, other                none is left: it is in no guarded range
  "86 00 40 f9",             // ldr x6, [x4]
  "7f 00 06 eb",             // cmp x3, x6                   below its first byte?
  "83 00 00 54",             // b.lo skip
  "87 04 40 f9",             // ldr x7, [x4,
  "7f 00 07 eb",             // cmp x3, x7                   below its end?
  "83 00 00 54",             // b.lo ours
  // skip:
  "84 80 00 91",             // add x4, x4,
  "a5 04 00 d1",             // sub x5, x5,
  "f7 ff ff 17",             // b next
  // ours:
  "89 40 00 91",             // add x9, x4,
  // again:
  "2a 7d 5f c8",             // ldxr x10, [x9]
  "4a 05 00 91",             // add x10, x10,
  "2a 7d 0b c8",             // stxr w11, x10, [x9]          one more, visible to the main thread
  "ab ff ff 35",             // cbnz w11, again
  "e9 03 00 aa",             // mov x9, x0                   the arguments, for a predecessor
  "ea 03 01 aa",             // mov x10, x1
  "eb 03 02 aa",             // mov x11, x2
  "e0 03 06 aa",             // mov x0, x6                   mmap: address
  "e1 00 06 cb",             // sub x1, x7, x6               mmap: length
  "62 00 80 d2",             // mov x2,
  "43 06 88 d2",             // mov x3,
  "04 00 80 92",             // mov x4,
  "05 00 80 d2",             // mov x5,
  "c8 1b 80 d2",             // mov x8,
  "01 00 00 d4",             // svc
  "1f 00 06 eb",             // cmp x0, x6                   the kernel gave what was asked for
  "e0 03 09 aa",             // mov x0, x9
  "e1 03 0a aa",             // mov x1, x10
  "e2 03 0b aa",             // mov x2, x11
  "41 00 00 54",             // b.ne other
  "c0 03 5f d6",             // ret                          and the instruction that faulted runs again
  // other:
  "04 fb 07 10",             // adr x4,
  "85 00 40 f9",             // ldr x5, [x4]                 the handler before ours
  "bf 04 00 f1",             // cmp x5,
  "49 00 00 54",             // b.ls default
  "a0 00 1f d6",             // br x5                        it takes over, with our arguments and return address
  // default:
  "ff 83 00 d1",             // sub sp, sp,
  "ff 7f 00 a9",             // stp xzr, xzr, [sp]
  "ff 7f 01 a9",             // stp xzr, xzr, [sp,
  "e9 03 00 aa",             // mov x9, x0
  "ea 03 01 aa",             // mov x10, x1
  "e1 03 00 91",             // mov x1, sp                   rt_sigaction: the new action
  "02 00 80 d2",             // mov x2,
  "03 01 80 d2",             // mov x3,
  "c8 10 80 d2",             // mov x8,
  "01 00 00 d4",             // svc
  "ff 83 00 91",             // add sp, sp,
  "43 09 40 b9",             // ldr w3, [x10,
  "7f 00 00 71",             // cmp w3,
  "cc 00 00 54",             // b.gt done                    then the fault repeats, and kills
  "88 15 80 d2",             // mov x8,
  "01 00 00 d4",             // svc
  "e1 03 09 aa",             // mov x1, x9
  "28 10 80 d2",             // mov x8,
  "01 00 00 d4",             // svc
  // done:
  "c0 03 5f d6",             // ret
];
